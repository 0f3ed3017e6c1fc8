"""The room shortening."""
