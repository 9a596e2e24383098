"""Anything at all, given to whatever reads what strangers write: `make fuzz`."""
