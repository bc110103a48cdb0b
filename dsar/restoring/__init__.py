"""After a restore: the erasures that the older database forgot are done again, and said so."""
