"""Whatever is deleted, changed or made up at the receiver is found, and what is missing comes back."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.models import Unshippable
from audit.shipping.destinations import Target
from kaireon.tenancy.context import scope, transaction
from tests.audit.log import WRITER, records, write
from tests.audit.shipping.conftest import configure, every_vendor
from tests.audit.shipping.datadog import Datadog
from tests.audit.shipping.elastic import Elastic
from tests.audit.shipping.receivers import Receiver
from tests.audit.shipping.runs import head, is_seq, reconcile, refusals, shipped
from tests.cast import ACME

pytestmark = pytest.mark.usefixtures("db")


@every_vendor
def test_it_proves_that_everything_is_there(receiver: Receiver, operators: Target) -> None:
    write(1200, tenant=ACME)
    last = head()
    shipped(operators)

    said = reconcile()

    assert (said["firstSeq"], said["lastSeq"], said["records"], said["found"]) == (1, last, last, last)
    assert (said["missing"], said["reshipped"], said["receiptsMissing"], said["whole"]) == (0, 0, 0, True)
    assert said["receipts"] >= 1
    [record] = records(ACME, action="siem.reconciled")
    assert record.changes["records"] == last


@every_vendor
def test_any_record_that_is_deleted_is_found_and_repaired(receiver: Receiver, operators: Target) -> None:
    write(1200, tenant=ACME)
    last = head()
    shipped(operators)
    for gone in (1, 7, 500, 501, 999, 1000, 1001, last):
        receiver.lose(gone, ACME)
        near = {"first": str(max(1, gone - 3)), "last": str(gone)}

        said = reconcile(fails=True, dry_run=True, **near)
        assert (said["missingSeqs"], said["reshipped"], said["whole"]) == ([gone], 0, False)
        said = reconcile(**near)
        assert (said["missingSeqs"], said["reshipped"], said["whole"]) == ([gone], 1, True)
    assert receiver.kept(ACME) == list(range(1, last + 1))
    assert reconcile()["missing"] == 0


@every_vendor
def test_a_receipt_that_is_deleted_is_found_and_repaired(receiver: Receiver, operators: Target) -> None:
    write(20, tenant=ACME)
    shipped(operators)
    [gone] = [name for name, event in receiver.stored.items() if event["kind"] == "receipt"]
    kept = receiver.stored.pop(gone)

    said = reconcile()

    assert (said["receiptsMissing"], said["missing"], said["reshipped"], said["whole"]) == (1, 0, 1, True)
    assert receiver.stored[gone]["note"] == kept["note"]


@every_vendor
def test_everything_that_is_lost_behind_a_good_answer_comes_back(receiver: Receiver, operators: Target) -> None:
    write(700, tenant=ACME)
    last = head()
    receiver.faults.loses = lambda event: event.get("seq", 1) % 3 == 0
    assert shipped(operators).shipped == last
    receiver.faults.loses = lambda event: False
    assert len(receiver.kept(ACME)) < last

    said = reconcile()

    assert said["missing"] == last // 3
    assert said["whole"]
    assert receiver.kept(ACME)[:last] == list(range(1, last + 1))


def at(seq: int, receiver: Receiver) -> dict[str, Any]:
    """The record as it is there."""
    [event] = [event for event in receiver.stored.values() if event.get("seq") == seq]
    return event


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "its hash": lambda event: event.update(leafHash="0" * 64),
    "what happened": lambda event: event.update(action="test.harmless"),
    "who did it": lambda event: event.update(userId="somebody"),
    "a number": lambda event: event.update(seq=10),
    "one left out": lambda event: event.pop("changes"),
    "one more of ours": lambda event: event.update(truncated=True),
}


@every_vendor
def test_what_was_changed_there_is_told(receiver: Receiver, operators: Target) -> None:
    write(20, tenant=ACME, changes={"n": 1e21, "text": "ä"})
    shipped(operators)
    for seq, change in enumerate(CHANGES.values(), start=9):
        change(at(seq, receiver))

    said = reconcile(fails=True)

    assert (said["different"], said["missing"]) == (list(range(9, 9 + len(CHANGES))), 0)


@every_vendor
def test_what_the_destination_adds_is_no_change(receiver: Receiver, operators: Target) -> None:
    write(20, tenant=ACME)
    shipped(operators)
    at(9, receiver).update(ecs={"version": "8.11"}, host="h-1")

    assert reconcile()["whole"]


@every_vendor
def test_a_forged_copy_beside_the_true_one_is_told(receiver: Receiver, operators: Target) -> None:
    """Whichever of the two a search finds first."""
    write(20, tenant=ACME)
    shipped(operators)
    if isinstance(receiver, Elastic):
        receiver.roll_over()
    true, last = at(9, receiver), at(10, receiver)
    receiver.copies += [{**true, "action": "test.harmless"}, dict(last)]
    last["action"] = "test.harmless"

    said = reconcile(fails=True)

    assert (said["different"], said["copies"], said["missing"]) == ([9, 10], 2, 0)


def test_a_document_under_another_id_does_not_pass_for_a_record(receiver: Elastic, operators: Target) -> None:
    write(20, tenant=ACME)
    shipped(operators)
    receiver.copies.append({**at(9, receiver), "_id": "made-up", "action": "test.harmless"})

    assert reconcile(fails=True)["different"] == [9]


@every_vendor
def test_a_receipt_that_was_changed_or_made_up_there_is_told(receiver: Receiver, operators: Target) -> None:
    write(20, tenant=ACME)
    shipped(operators)
    [(name, event)] = [(name, event) for name, event in receiver.stored.items() if event["kind"] == "receipt"]
    forged = name[:-16] + "f" * 16
    fields = {**event.get("_fields", {}), "kaireon_event": forged}
    receiver.stored[forged] = {**event, "eventId": forged, "_fields": fields, "leavesHash": "f" * 64}
    event["note"] = event["note"].replace('"records":', '"records":1')

    said = reconcile(fails=True)

    assert (said["unknown"], said["different"], said["receiptsMissing"]) == ([forged], [1], 0)


@every_vendor
def test_what_the_log_never_had_is_told(receiver: Receiver, operators: Target) -> None:
    write(20, tenant=ACME)
    shipped(operators)
    [event] = [event for event in receiver.stored.values() if event.get("seq") == 9]
    forged = event["eventId"].rpartition("-")[0] + "-ffffffffffffffff"
    fields = {**event.get("_fields", {}), "kaireon_event": forged}
    receiver.stored[forged] = {**event, "eventId": forged, "_fields": fields}

    assert reconcile(fails=True)["unknown"] == [forged]


def test_unset_or_half_configured_it_says_so(settings: Any) -> None:
    for given, said in (
        ({}, "SIEM_BACKEND"),
        ({"BACKEND": "sumo", "ENDPOINT": "https://x.example", "API_KEY": "k"}, "SIEM_BACKEND is one of"),
        ({"BACKEND": "splunk", "ENDPOINT": "https://x.example", "API_KEY": ""}, "SIEM_API_KEY is not set"),
    ):
        for name, value in given.items():
            setattr(settings, f"SIEM_{name}", value)
        with pytest.raises(CommandError, match=said):
            call_command("siem_reconcile", tenant=ACME)


def test_a_range_is_of_numbers_or_moments(receiver: Receiver, operators: Target) -> None:
    write(40, tenant=ACME)
    shipped(operators)
    receiver.lose(30, ACME)

    assert reconcile(first="1", last="29")["missing"] == 0
    assert reconcile(fails=True, first="30", last="30", dry_run=True)["missingSeqs"] == [30]
    assert reconcile(fails=True, first="2020-01-01", dry_run=True)["missingSeqs"] == [30]
    assert reconcile(last="2020-01-01")["records"] == 0
    with pytest.raises(CommandError, match="--from"):
        call_command("siem_reconcile", tenant=ACME, first="nonsense")
    with pytest.raises(CommandError, match="behind --to"):
        call_command("siem_reconcile", tenant=ACME, first="9", last="3")


def test_what_is_yet_to_be_shipped_is_not_missing(receiver: Receiver, operators: Target) -> None:
    write(10, tenant=ACME)
    last = head()
    shipped(operators)
    write(10, tenant=ACME)

    assert reconcile()["lastSeq"] == last


@every_vendor
def test_a_refused_record_that_is_taken_later_is_settled(receiver: Receiver, operators: Target) -> None:
    write(20, tenant=ACME)
    receiver.faults.refuses = is_seq(9)
    assert shipped(operators).refused == 1

    said = reconcile(fails=True)
    assert (said["missingSeqs"], said["refused"]) == ([9], [9])
    assert len(refusals()) == 1
    receiver.faults.refuses = lambda event: False
    assert reconcile()["whole"]
    with scope(tenant_id=ACME, actor=WRITER), transaction():
        assert not Unshippable.objects.filter(tenant_id=ACME, resolved_at=None).exists()


@pytest.mark.parametrize("receiver", ["splunk", "datadog"], indirect=True)
def test_without_what_a_look_needs_it_says_which_settings(receiver: Receiver, settings: Any) -> None:
    configure(settings, receiver, SEARCH_KEY="")

    with pytest.raises(CommandError, match=r"SIEM_SEARCH_ENDPOINT.*SIEM_SEARCH_KEY"):
        call_command("siem_reconcile", tenant=ACME)


@every_vendor
def test_a_search_that_is_refused_is_no_proof(receiver: Receiver, settings: Any) -> None:
    target = configure(settings, receiver)
    write(5, tenant=ACME)
    shipped(target)
    wrong = {"API_KEY": "wrong"} if not isinstance(receiver, Datadog) else {}
    configure(settings, receiver, SEARCH_KEY="wrong", **wrong)

    said = StringIO()
    with pytest.raises(CommandError, match="could not be asked: unauthorized"):
        call_command("siem_reconcile", tenant=ACME, stderr=said)

    # Nothing was looked at, which does not say that nothing was shipped.
    assert said.getvalue() == ""


def test_a_receipt_that_was_forged_here_is_told(receiver: Receiver, operators: Target, superuser: Any) -> None:
    write(20, tenant=ACME)
    shipped(operators)
    superuser.execute("SET session_replication_role = replica")
    superuser.execute("UPDATE audit_shippingreceipt SET note = replace(note, '\"records\":', '\"records\":1')")

    assert reconcile(fails=True)["receiptsWrong"] == [1]


def test_it_names_the_destinations_there_are(receiver: Receiver, operators: Target) -> None:
    with pytest.raises(CommandError, match=r"no SIEM destination 'other'\. Known: operator"):
        call_command("siem_reconcile", tenant=ACME, destination="other")


def test_it_says_in_words_what_it_found(receiver: Receiver, operators: Target) -> None:
    write(20, tenant=ACME)
    shipped(operators)
    receiver.lose(9, ACME)
    out = StringIO()

    call_command("siem_reconcile", tenant=ACME, stdout=out)

    assert "Missing: 9." in out.getvalue()
    assert "Shipped again: 1." in out.getvalue()
    assert "The destination has it all." in out.getvalue()
