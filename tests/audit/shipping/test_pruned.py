"""What retention removes before it was shipped is told as lost, and what it removes later is no forgery."""

import psycopg
import pytest

from audit.pruning.unshipped import EVERY
from audit.shipping.destinations import Target
from audit.shipping.lag import lag
from kaireon.lib import clock
from kaireon.tenancy.context import scope, transaction
from tests.audit.log import WRITER, write
from tests.audit.pruning.old_log import POLICY_DAYS, applied, approved, make_bea, policy, sealed
from tests.audit.shipping.conftest import every_vendor
from tests.audit.shipping.receivers import Receiver
from tests.audit.shipping.runs import cursor, head, reconcile, refusals, shipped
from tests.cast import ACME

pytestmark = pytest.mark.usefixtures("db")


def old_log(superuser: psycopg.Connection) -> int:
    """Of the checkpoint that seals the part which may go."""
    make_bea()
    policy()
    size = sealed(20, superuser, days_ago=POLICY_DAYS + 1)
    sealed(5, superuser, days_ago=10)
    return size


def test_before_they_were_shipped_they_are_told_as_lost(
    receiver: Receiver, operators: Target, superuser: psycopg.Connection
) -> None:
    write(3, tenant=ACME)
    shipped(operators)
    had = cursor(operators).seq
    size = old_log(superuser)
    applied(approved(without=EVERY))
    last = head()

    done = shipped(operators)

    assert (done.error, cursor(operators).seq) == ("", last)
    assert refusals() == [(had + 1, size, "pruned")]
    assert receiver.kept(ACME) == [*range(1, had + 1), *range(size + 1, last + 1)]
    said = reconcile(fails=True)
    assert (said["neverShipped"], said["missing"], said["unknown"]) == ([[had + 1, size]], 0, [])
    assert reconcile(fails=True, last=str(size))["neverShipped"] == [[had + 1, size]]
    assert reconcile(first=str(size + 1))["whole"]


def test_before_the_destination_was_first_used_they_are_told_as_lost(
    receiver: Receiver, operators: Target, superuser: psycopg.Connection
) -> None:
    size = old_log(superuser)
    applied(approved(without=EVERY))
    last = head()

    assert shipped(operators).error == ""
    assert shipped(operators).error == ""

    assert refusals() == [(1, size, "pruned")]
    assert receiver.kept(ACME) == [*range(size + 1, last + 1)]
    with scope(tenant_id=ACME, actor=WRITER), transaction():
        behind = lag(operators.key, created_at=clock.now())
    assert (behind.records, behind.refused_ranges, behind.refused_records) == (0, 1, size)
    assert reconcile(fails=True, last=str(last))["neverShipped"] == [[1, size]]


@every_vendor
def test_after_they_were_shipped_they_are_no_forgeries(
    receiver: Receiver, operators: Target, superuser: psycopg.Connection
) -> None:
    size = old_log(superuser)
    shipped(operators)
    applied(approved())
    last = head()
    shipped(operators)

    said = reconcile()

    assert (said["records"], said["neverShipped"], said["unknown"], said["whole"]) == (last - size, [], [], True)
