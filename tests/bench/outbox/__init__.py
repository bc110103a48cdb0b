"""What it costs that a message is a durable row until it is delivered, against a bare HTTP client doing the same."""
