"""E-mails to people known by name: never a word about a patient."""
