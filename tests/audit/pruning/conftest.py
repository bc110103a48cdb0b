"""A log whose first part may go."""

import psycopg
import pytest

from tests.audit.log import write
from tests.audit.pruning.old_log import OLD, POLICY_DAYS, make_bea, policy, sealed
from tests.cast import ACME


@pytest.fixture
def size(db: str, superuser: psycopg.Connection) -> int:
    """Of the checkpoint that seals the old part; a younger part follows it."""
    make_bea()
    policy()
    size = sealed(OLD, superuser, days_ago=POLICY_DAYS + 1)
    sealed(20, superuser, days_ago=10)
    write(5, tenant=ACME)
    return size
