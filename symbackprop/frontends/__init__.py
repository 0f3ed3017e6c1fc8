"""The room frontends."""
