"""Data only: profiles, code maps, examples. Read by importlib.resources."""
