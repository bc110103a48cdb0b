"""A log of some unusual records, and the verifier called in this process."""

import io
from collections.abc import Callable
from typing import Any

import pytest

from audit.offline import kaireon_verify
from audit.offline.kaireon_verify import Broken, Verdict
from tests.audit.offline.bundle import Log, chained, plain_record

LENGTH = 60


@pytest.fixture(scope="session")
def log() -> Log:
    return Log(chained(plain_record(number) for number in range(1, LENGTH + 1)))


@pytest.fixture(scope="session")
def check() -> Callable[..., Verdict]:
    return lambda content, **keys: kaireon_verify.check(io.BytesIO(content), **keys)


@pytest.fixture(scope="session")
def check_broken(check: Callable[..., Verdict]) -> Callable[..., Broken]:
    def broken(content: bytes, **keys: Any) -> Broken:
        with pytest.raises(Broken) as caught:
            check(content, **keys)
        return caught.value

    return broken
