"""Where spans of the log end."""

import pytest

from audit.verification import spans
from audit.verification.spans import LENGTH, Span


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ((0, LENGTH + 5), [(0, LENGTH), (LENGTH, LENGTH + 5)]),
        ((10, LENGTH + 5), [(10, LENGTH), (LENGTH, LENGTH + 5)]),
        ((0, LENGTH + 5, 400), [(0, 400), (400, LENGTH), (LENGTH, LENGTH + 5)]),
        ((400, 600, 400), [(400, 600)]),
        ((5, 5), []),
    ],
)
def test_they_end_where_tiles_end_and_where_they_are_cut(asked: tuple[int, ...], found: list[tuple[int, int]]) -> None:
    assert list(spans.between(*asked)) == [Span(*each) for each in found]
