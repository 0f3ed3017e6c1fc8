"""The room lowering."""
