"""Followers of a log: each has a cursor over `seq` and moves it after its work."""
