"""How fast the whole log becomes a file, beside a raw COPY of it."""
