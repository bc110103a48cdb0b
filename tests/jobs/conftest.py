from collections.abc import Iterator

import pytest

from tests.cast import ACME, ADA


@pytest.fixture
def acme(db: str) -> Iterator[str]:
    """The test runs as Ada in Acme."""
    with ADA.here(request_id="req-1"):
        yield ACME
