"""A bundle to be spoiled."""

import pytest

from tests.audit.offline.bundle import zipped


@pytest.fixture
def files(log):
    return log.bundle(3, 9).signed()


@pytest.fixture
def content(files):
    return zipped(files)
