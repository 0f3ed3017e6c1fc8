"""The room c."""
