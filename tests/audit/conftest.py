"""Connections that the tests of the log share."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.s3 import s3, s3_url  # noqa: F401


@pytest.fixture
def superuser(superuser_url: str) -> Iterator[psycopg.Connection]:
    """The one who may switch triggers off: `SET session_replication_role = replica`."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        yield connection
