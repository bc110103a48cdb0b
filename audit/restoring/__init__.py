"""A database that is older than what left it: noticing it, keeping it from being served, and going on with evidence."""
