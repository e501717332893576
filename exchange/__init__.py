"""Wardpost: discharge papers from hospital to care home. Start reading at app.py."""

__version__ = "0.1.0"
