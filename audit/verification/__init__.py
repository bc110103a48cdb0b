"""The verifier: derives everything again, by spans, as far as it came, as often as it is asked."""
