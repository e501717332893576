"""All FHIR knowledge: the Draft, the UK Core document, narrative, strict JSON, OperationOutcome."""
