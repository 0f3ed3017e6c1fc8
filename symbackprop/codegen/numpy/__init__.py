"""The room numpy."""
