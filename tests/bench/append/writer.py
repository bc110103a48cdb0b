"""What a contestant brings: a function that writes order `number` for a tenant, in a transaction of its own."""

from collections.abc import Callable

# (tenant id, number of the order)
Write = Callable[[str, int], None]
