"""Flows: named steps that survive a crash between any two of them."""
