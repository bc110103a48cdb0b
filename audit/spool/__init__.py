"""What waits on this machine's disk while the database is away."""
