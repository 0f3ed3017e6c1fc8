"""The room expression."""
