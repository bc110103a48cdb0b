"""SIGKILL at every statement, commit and request of a run: at least once, in order, no gap, whoever goes on."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from audit.models import ShippingReceipt
from audit.shipping import client, shipping
from audit.shipping.destinations import Target
from kaireon.tenancy.context import scope, transaction
from tests.audit.kills.child import dying, fork, killed
from tests.audit.log import WRITER, write
from tests.audit.shipping.conftest import every_vendor
from tests.audit.shipping.receivers import Receiver
from tests.audit.shipping.runs import cursor, head, reconcile, shipped
from tests.cast import ACME

pytestmark = pytest.mark.usefixtures("db")


def check(receiver: Receiver, target: Target) -> None:
    """What the cursor has passed is there; what arrived did so in order and from the beginning."""
    seqs = receiver.seqs(ACME)
    assert seqs == list(range(1, len(seqs) + 1))
    passed = cursor(target).seq
    assert set(range(1, passed + 1)) <= set(receiver.kept(ACME))
    with scope(tenant_id=ACME, actor=WRITER), transaction():
        rows = ShippingReceipt.objects.filter(tenant_id=ACME).order_by("first_seq")
        ranges = [(row.first_seq, row.last_seq) for row in rows]
    assert [first for first, _ in ranges] == [1, *[last + 1 for _, last in ranges[:-1]]][: len(ranges)]
    assert (ranges[-1][1] if ranges else 0) == passed


def finish(receiver: Receiver, target: Target) -> None:
    assert shipped(target).error == ""
    last = cursor(target).seq
    assert last == head()
    assert receiver.kept(ACME) == receiver.seqs(ACME) == list(range(1, last + 1))
    assert reconcile()["whole"]


def die_everywhere(receiver: Receiver, target: Target, dying_at: Callable[[int], bool]) -> int:
    """Die at the first point of a run, at the second, and so on; each time somebody else goes on. How many there are.

    Each run has two batches, the second not full, and receipts.
    """
    deaths = 0
    while True:
        write(6, tenant=ACME, first=6 * deaths)
        head()
        died = dying_at(deaths + 1)
        check(receiver, target)
        if not died:
            break
        deaths += 1
        assert shipped(target).error == ""
        check(receiver, target)
    finish(receiver, target)
    return deaths


def test_killed_at_any_statement(receiver: Receiver, operators: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "BATCH", 4)
    # Each batch is confirmed by itself.
    monkeypatch.setattr(shipping, "AHEAD", 1)

    def dying_at(point: int) -> bool:
        return dying(lambda: shipped(operators), at_statement=point)

    assert die_everywhere(receiver, operators, dying_at) >= 20


@every_vendor
def test_killed_before_and_after_any_request(
    receiver: Receiver, operators: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "BATCH", 4)

    def dying_at(point: int) -> bool:
        return killed(fork(lambda: _until_request(point, lambda: shipped(operators))))

    assert die_everywhere(receiver, operators, dying_at) >= 6


def _until_request(point: int, work: Callable[[], object]) -> None:
    """Do it and die at the n-th point, of which there are two around each request."""
    left = point
    real = client.Client.post

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def post(self: client.Client, *arguments: Any, **named: Any) -> Any:
        count()
        answer = real(self, *arguments, **named)
        count()
        return answer

    client.Client.post = post  # type: ignore[method-assign]
    work()
