"""What is held, and what keeps it from being deleted whoever asks."""
