"""FHIR R4 4.0.1 as facts: which elements a type has, of which types, how often, in which order. See `tables`."""
