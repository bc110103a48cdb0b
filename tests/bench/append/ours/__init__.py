"""Five tables behind the same walls, in one database of the product: not under audit, under ours, under a peer's."""
