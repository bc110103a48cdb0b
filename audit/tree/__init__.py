"""The Merkle tree over the log: what is signed of it, and what it proves."""
