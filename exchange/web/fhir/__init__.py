"""The FHIR REST API of a home's mailbox and of the audit trail."""
