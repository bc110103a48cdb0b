"""How long a proof takes, and how that grows with the log."""
