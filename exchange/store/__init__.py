"""SQLModel tables and the unit of work. Imported by wiring only."""
