"""Organisations and sites, people, clients, keys, and how each sender's feed is to be read."""
