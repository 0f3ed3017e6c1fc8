"""The room calculus."""
