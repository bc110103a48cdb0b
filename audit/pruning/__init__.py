"""Retention of the log: what leaves it, where it lies then, and what stands in its place."""
