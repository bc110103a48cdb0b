"""Searches that leave something out do not pass for a proof: neither that a record is missing nor that all is there."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.following import cursors
from audit.shipping import blocks, client, elastic, reconciling
from audit.shipping.destinations import Target
from kaireon.lib import clock
from kaireon.tenancy.context import scope, transaction
from tests.audit.log import WRITER, write
from tests.audit.shipping.conftest import every_vendor
from tests.audit.shipping.elastic import Elastic
from tests.audit.shipping.receivers import Receiver
from tests.audit.shipping.runs import head, reconcile, shipped
from tests.audit.shipping.splunk import Splunk
from tests.cast import ACME

pytestmark = pytest.mark.usefixtures("db")


@pytest.mark.parametrize("receiver", ["splunk"], indirect=True)
def test_results_are_not_cut_as_reports_are(receiver: Splunk, operators: Target) -> None:
    write(40, tenant=ACME)
    shipped(operators)
    receiver.MOST_REPORTED = 10

    said = reconcile()

    assert (said["missing"], said["whole"]) == (0, True)


@every_vendor
def test_what_a_clock_ahead_dated_later_is_found(receiver: Receiver, operators: Target) -> None:
    with clock.freeze(clock.now() + timedelta(days=90)):
        write(20, tenant=ACME)
    last = head()
    assert shipped(operators).shipped == last

    said = reconcile()

    assert (said["found"], said["missing"], said["whole"]) == (last, 0, True)


@every_vendor
def test_what_is_indexed_late_is_waited_for_and_not_shipped_again(
    receiver: Receiver, operators: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciling, "SETTLES", timedelta(seconds=30))
    monkeypatch.setattr(reconciling, "_FIRST_LOOK", 0.01)
    write(20, tenant=ACME)
    shipped(operators)
    arrived = len(receiver.events)
    receiver.faults.unseen = 3

    said = reconcile()

    assert (said["missing"], said["reshipped"], len(receiver.events)) == (0, 0, arrived)


@every_vendor
def test_a_part_of_the_results_is_no_proof(receiver: Receiver, operators: Target) -> None:
    write(40, tenant=ACME)
    shipped(operators)
    arrived = len(receiver.events)
    receiver.faults.partial = 1

    if isinstance(receiver, Elastic):
        # It is told before anything is found, and asked again.
        assert reconcile()["whole"]
    else:
        with pytest.raises(CommandError, match="could not be asked: search_incomplete"):
            call_command("siem_reconcile", tenant=ACME)
    assert len(receiver.events) == arrived
    assert reconcile()["missing"] == 0


def test_a_refresh_that_a_shard_did_not_make_is_none(receiver: Elastic, operators: Target) -> None:
    write(5, tenant=ACME)
    shipped(operators)
    receiver.faults.answers = [(200, {}, b'{"_shards":{"total":2,"successful":1,"failed":1}}')]

    with pytest.raises(CommandError, match="could not be asked: search_incomplete"):
        call_command("siem_reconcile", tenant=ACME)


@every_vendor
def test_a_search_that_is_throttled_waits_and_goes_on(receiver: Receiver, operators: Target) -> None:
    write(40, tenant=ACME)
    shipped(operators)
    receiver.faults.answers = [(429, {"Retry-After": "0"}, b"{}"), (429, {}, b"{}"), (503, {"Retry-After": "0"}, b"{}")]

    assert reconcile()["whole"]


@every_vendor
def test_who_hangs_up_is_no_proof_and_it_says_where_to_go_on(
    receiver: Receiver, operators: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = blocks.block
    write(1010, tenant=ACME)
    shipped(operators)
    arrived = len(receiver.events)

    def block(*given: Any) -> blocks.Block:
        receiver.faults.drops_before = 9 if given[2] == 1000 else 0
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(blocks, "block", block)
        with pytest.raises(CommandError, match=r"could not be asked: answer_incomplete\..*--from 1000"):
            call_command("siem_reconcile", tenant=ACME)
    receiver.faults.drops_before = 0
    assert len(receiver.events) == arrived
    assert reconcile(first="1000")["whole"]


def test_who_does_not_answer_in_time_is_no_proof(
    receiver: Receiver, operators: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(5, tenant=ACME)
    shipped(operators)
    receiver.faults.sleeps = 1.0
    monkeypatch.setattr(client.Client.__init__, "__kwdefaults__", {"seconds": 0.2})

    with pytest.raises(CommandError, match="could not be asked: timeout"):
        call_command("siem_reconcile", tenant=ACME)


def test_after_a_rollover_older_indices_are_looked_into(receiver: Elastic, operators: Target) -> None:
    write(30, tenant=ACME)
    shipped(operators)
    receiver.roll_over()
    write(30, tenant=ACME, first=30)
    shipped(operators)
    last = head()

    said = reconcile()
    assert (said["found"], said["missing"], said["copies"]) == (last, 0, 0)
    receiver.lose(9, ACME)
    said = reconcile()
    assert (said["missingSeqs"], said["reshipped"], said["copies"], said["whole"]) == ([9], 1, 0, True)
    assert receiver.kept(ACME) == list(range(1, last + 1))
    assert receiver.copies == []


def test_copies_that_a_rollover_let_in_hide_nothing(
    receiver: Elastic, operators: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when one search cannot hold them all."""
    write(30, tenant=ACME)
    last = head()
    shipped(operators)
    for _ in range(2):
        receiver.roll_over()
        with scope(tenant_id=ACME, actor=WRITER), transaction():
            cursors.set_back(operators.follower, to=0, now=clock.now())
        shipped(operators)
    assert len(receiver.copies) >= 2 * last
    monkeypatch.setattr(elastic, "MOST_FOUND", last)

    said = reconcile()
    assert (said["found"], said["missing"], said["whole"]) == (last, 0, True)
    assert said["copies"] >= 2 * last
    receiver.lose(9, ACME)
    receiver.copies = [event for event in receiver.copies if event.get("seq") != 9]
    assert reconcile()["missingSeqs"] == [9]
