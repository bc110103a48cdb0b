"""The figures of a period: how many requests, how they ended, how long it took."""
