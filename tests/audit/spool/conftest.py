"""A database that lets nobody in."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections

from tests.ops.stage import database_away


@pytest.fixture
def away(db: str, superuser_url: str) -> Callable[[], Any]:
    """`with away():` the database lets nobody in."""

    def context() -> Any:
        connections.close_all()
        return database_away(superuser_url, db)

    return context
