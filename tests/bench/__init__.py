"""`make bench`: what the promises about speed come to, each measured beside something to compare with."""
