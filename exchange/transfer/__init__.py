"""Stays and transfers: the state table, matching, Supplements, and the assembly of one version's Content."""
