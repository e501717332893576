"""The seal room: envelope v1, organisations' keys, sealed columns, the key-encryption key and blind indexes (envelope.md 1 to 3)."""
