"""The journal of erasures: outside the database, so that one restored from a dump can be told what it forgot."""
