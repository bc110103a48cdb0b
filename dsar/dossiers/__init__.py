"""The packages that answer requests for access."""
