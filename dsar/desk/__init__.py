"""The desk of those who answer requests: the board, who works on what, the figures of a period."""
