"""The web room: everything that speaks HTTP."""
