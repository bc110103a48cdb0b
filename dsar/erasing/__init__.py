"""Erasing a person, and knowing that nothing is left."""
