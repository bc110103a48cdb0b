"""How long each class of data is kept: policies."""
