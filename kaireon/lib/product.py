"""Which product, and which version of it, says something that outlives it. The same as in pyproject.toml."""

NAME = "kaireon"
VERSION = "0.1.0"
