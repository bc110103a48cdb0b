"""Witnesses of our logs, and ourselves as a witness of others' (C2SP tlog-witness)."""
