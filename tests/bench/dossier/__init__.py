"""What an access package costs, beside hand-written SQL that writes the same JSON."""
