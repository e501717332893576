"""Conformance: what must hold before a structured document leaves. The document rules today; the compiled profiles later, same port."""
