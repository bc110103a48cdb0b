"""What it costs that a flow can be taken up again after any crash, step by step."""
