"""What puts a table under audit, and whether all of it still stands."""
