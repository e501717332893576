"""Readers of source formats: bytes in, Draft out. Pure: no I/O, no clock, no settings."""
