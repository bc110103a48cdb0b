"""How fast a log is verified, beside merely reading it."""
