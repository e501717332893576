"""Who is calling: client assertions, and the secrets of links, sessions and access tokens (envelope.md 5)."""
