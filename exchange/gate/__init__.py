"""The gate: the versioned completeness rules (a table) and their evaluation. It decides the badge, never the delivery."""
