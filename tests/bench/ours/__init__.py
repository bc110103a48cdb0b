"""Two tables behind the same walls, in one database of the product: one under audit, one not."""
