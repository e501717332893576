"""The audit room: leaf v1 and the Merkle hashes over it (envelope.md 4)."""
