"""Personal values in the log: sealed under a key for each subject, opened with a record, gone with the key."""
