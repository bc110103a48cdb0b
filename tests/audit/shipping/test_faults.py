"""Whatever the receiver refuses, throttles, drops or does not answer: nothing is passed over, and it is said."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from audit.models import Cursor, ShippingReceipt
from audit.shipping import client, receipts, sending
from audit.shipping.destinations import LEAST_EVENT_BYTES, Target
from audit.tree import signing
from kaireon.lib import clock
from kaireon.tenancy.context import scope, transaction
from tests.audit.log import WRITER, write
from tests.audit.shipping.conftest import configure, every_vendor
from tests.audit.shipping.receivers import TOKEN, Receiver
from tests.audit.shipping.runs import cursor, head, is_seq, reconcile, refusals, shipped
from tests.audit.shipping.splunk import Splunk
from tests.cast import ACME

pytestmark = pytest.mark.usefixtures("db")


@every_vendor
def test_one_that_is_refused_in_the_middle_is_said_and_the_others_arrive(receiver: Receiver, operators: Target) -> None:
    write(60, tenant=ACME)
    last = head()
    receiver.faults.refuses = is_seq(20)

    done = shipped(operators)

    assert (done.shipped, done.refused, done.error) == (last - 1, 1, "")
    assert receiver.kept(ACME) == [n for n in range(1, last + 1) if n != 20]
    [(first, until, code)] = refusals()
    assert (first, until) == (20, 20)
    assert code
    with scope(tenant_id=ACME, actor=WRITER), transaction():
        [row] = ShippingReceipt.objects.filter(tenant_id=ACME, first_seq=1)
        assert receipts.parse(row.note, signing.trusted(ACME))["refused"] == [20]


def test_however_many_are_refused_receipts_stay_small_enough(receiver: Receiver, operators: Target) -> None:
    write(900, tenant=ACME)
    last = head()
    receiver.faults.refuses = lambda event: event["kind"] == "record" and event["seq"] % 10 != 1

    done = shipped(operators)

    assert done.shipped + done.refused == last
    arrived = sorted(receiver.receipts(ACME), key=lambda event: event["firstSeq"])
    assert len(arrived) >= 5
    assert [event["firstSeq"] for event in arrived] == [1, *(event["lastSeq"] + 1 for event in arrived[:-1])]
    assert arrived[-1]["lastSeq"] == last
    with scope(tenant_id=ACME, actor=WRITER), transaction():
        keys = signing.trusted(ACME)
    refused = [seq for event in arrived for seq in receipts.parse(event["note"], keys)["refused"]]
    assert refused == [seq for seq in range(1, last + 1) if seq % 10 != 1]
    said = reconcile(fails=True, dry_run=True)
    assert (said["missing"], said["receiptsWrong"], said["different"]) == (len(refused), [], [])


def test_a_receipt_of_as_many_refused_as_there_may_be_fits_everywhere(db: str) -> None:
    first = 10**12
    refused = list(range(first, first + receipts.MOST_REFUSED))
    with scope(tenant_id=ACME, actor=WRITER), transaction():
        row = receipts.write(
            destination=str(uuid4()), first=first, last=refused[-1], leaves="", refused=refused, now=clock.now()
        )
        assert len(receipts.event(row).text) < LEAST_EVENT_BYTES - 500


@every_vendor
def test_contents_that_are_refused_go_without_contents(receiver: Receiver, operators: Target) -> None:
    write(5, tenant=ACME, changes={"odd": "value"})
    last = head()
    receiver.faults.refuses = lambda event: event.get("seq") == last - 2 and event.get("changes") is not None

    assert shipped(operators).refused == 0
    [reduced] = [event for event in receiver.records(ACME) if event.get("truncated")]
    assert reduced["seq"] == last - 2
    assert reduced["omitted"] == ["changes", "after"] or reduced["omitted"] == ["changes"]
    assert refusals() == []


@every_vendor
def test_what_refuses_everything_is_no_bad_record(receiver: Receiver, operators: Target) -> None:
    write(3, tenant=ACME)
    receiver.faults.refuses = lambda event: True

    done = shipped(operators)

    assert done.error
    assert (done.shipped, cursor(operators).seq, refusals()) == (0, 0, [])
    receiver.faults.refuses = lambda event: False
    with clock.freeze(clock.now() + timedelta(minutes=5)):
        assert shipped(operators).shipped == head()


@every_vendor
def test_a_wrong_key_moves_nothing_and_says_so(receiver: Receiver, settings: Any, caplog: Any) -> None:
    target = configure(settings, receiver, API_KEY="not-the-key")
    write(2, tenant=ACME)

    done = shipped(target)

    assert (done.shipped, done.error) == (0, "unauthorized")
    found = cursor(target)
    assert (found.seq, found.error, found.failures) == (0, "unauthorized", 1)
    assert receiver.stored == {}
    assert "not-the-key" not in repr(target) + caplog.text
    right = configure(settings, receiver)
    with clock.freeze(clock.now() + timedelta(minutes=5)):
        assert shipped(right).shipped == head()


@every_vendor
@pytest.mark.parametrize("status", [429, 503])
def test_it_waits_as_long_as_it_is_asked_to(receiver: Receiver, operators: Target, status: int) -> None:
    write(2, tenant=ACME)
    receiver.faults.answers = [(status, {"Retry-After": "120"}, b'{"text":"Server is busy","code":9}')]
    now = clock.now()

    with clock.freeze(now):
        assert shipped(operators).error == "throttled"
    found = cursor(operators)
    assert found.due_at == now + timedelta(seconds=120)
    with clock.freeze(now + timedelta(seconds=119)):
        assert shipped(operators).is_waiting
    assert receiver.stored == {}
    with clock.freeze(now + timedelta(seconds=120)):
        assert shipped(operators).shipped == head()


@every_vendor
def test_a_short_wait_is_waited_for(receiver: Receiver, operators: Target) -> None:
    write(2, tenant=ACME)
    receiver.faults.answers = [(429, {"Retry-After": "0"}, b"{}"), (503, {}, b'{"code":9}')]

    assert shipped(operators).shipped == head()


@pytest.mark.parametrize("receiver", ["elastic"], indirect=True)
def test_items_that_are_throttled_come_again(receiver: Receiver, operators: Target) -> None:
    write(40, tenant=ACME)
    last = head()
    receiver.faults.throttles = lambda event: event.get("seq", 0) % 7 == 0

    assert shipped(operators).shipped == last
    assert receiver.kept(ACME) == list(range(1, last + 1))


@pytest.mark.parametrize("receiver", ["elastic"], indirect=True)
def test_what_was_taken_before_one_that_stays_throttled_is_noted(receiver: Receiver, operators: Target) -> None:
    write(40, tenant=ACME)
    last = head()
    receiver.faults.throttles = lambda event: bool(receiver.throttled.clear()) or event.get("seq") == 30

    done = shipped(operators)

    assert (done.error, done.shipped, cursor(operators).seq) == ("throttled", 29, 29)
    receiver.faults.throttles = lambda event: False
    with clock.freeze(clock.now() + timedelta(minutes=5)):
        assert shipped(operators).shipped == last - 29
    assert receiver.kept(ACME) == list(range(1, last + 1))


@every_vendor
def test_a_dropped_connection_loses_nothing(receiver: Receiver, operators: Target) -> None:
    write(20, tenant=ACME)
    last = head()
    receiver.faults.drops_before = 2
    assert shipped(operators).error == "answer_incomplete"
    receiver.faults.drops_after = 2
    with clock.freeze(clock.now() + timedelta(minutes=5)):
        assert shipped(operators).error == "answer_incomplete"
        assert cursor(operators).seq == 0
    with clock.freeze(clock.now() + timedelta(minutes=10)):
        assert shipped(operators).shipped == last
    assert receiver.kept(ACME) == receiver.seqs(ACME) == list(range(1, last + 1))


@every_vendor
def test_who_does_not_answer_in_time_is_tried_again_later(
    receiver: Receiver, operators: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = client.Client.post
    write(2, tenant=ACME)
    receiver.faults.sleeps = 3.0
    with monkeypatch.context() as patch:
        patch.setattr(client.Client, "post", lambda self, request, **_: real(self, request, seconds=0.5))
        assert shipped(operators).error == "timeout"
    assert cursor(operators).seq == 0
    receiver.faults.sleeps = 0.0
    with clock.freeze(clock.now() + timedelta(minutes=5)):
        assert shipped(operators).shipped == head()


@every_vendor
def test_an_answer_of_somebody_else_is_none(receiver: Receiver, operators: Target) -> None:
    write(2, tenant=ACME)
    receiver.faults.answers = [(200, {"Content-Type": "text/html"}, b"<html>Please sign in</html>")]

    assert shipped(operators).error == "answer_not_understood"
    assert cursor(operators).seq == 0


@every_vendor
def test_redirects_are_not_followed(receiver: Receiver, operators: Target) -> None:
    write(2, tenant=ACME)
    receiver.faults.answers = [(307, {"Location": "http://127.0.0.1:1/"}, b"")]

    assert shipped(operators).error == "redirect_refused"


@pytest.mark.parametrize("receiver", ["splunk"], indirect=True)
def test_what_is_not_acknowledged_is_not_passed(
    receiver: Splunk, operators: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "ACK_SECONDS", 0.3)
    write(20, tenant=ACME)
    receiver.faults.never_acks = True

    assert shipped(operators).error == "not_acknowledged"
    assert cursor(operators).seq == 0
    receiver.faults.never_acks = False
    with clock.freeze(clock.now() + timedelta(minutes=5)):
        assert shipped(operators).shipped == head()
    assert receiver.kept(ACME) == list(range(1, head() + 1))


@pytest.mark.parametrize("receiver", ["splunk", "elastic"], indirect=True)
def test_a_wrong_index_moves_nothing(receiver: Receiver, settings: Any) -> None:
    target = configure(settings, receiver, INDEX="another")
    write(2, tenant=ACME)

    assert shipped(target).error in ("index_refused", "not_found")
    assert cursor(target).seq == 0


def test_pauses_grow_and_end(receiver: Receiver, operators: Target) -> None:
    write(1, tenant=ACME)
    receiver.faults.answers = [(500, {}, b"{}")] * 20
    now = clock.now()
    pauses = []
    for _ in range(14):
        with clock.freeze(now):
            assert shipped(operators).error == "http_500"
        due = cursor(operators).due_at
        assert due is not None
        pauses.append(due - now)
        now = due
    assert timedelta(seconds=4) <= pauses[0] <= timedelta(seconds=6)
    assert pauses[3] > pauses[0]
    assert pauses[-1] == timedelta(hours=1)


def test_the_key_is_in_no_answer_and_no_log(receiver: Receiver, operators: Target, caplog: Any) -> None:
    write(2, tenant=ACME)
    receiver.faults.answers = [(500, {}, TOKEN.encode())]
    shipped(operators)

    with scope(tenant_id=ACME, actor=WRITER), transaction():
        rows = [
            *Cursor.objects.filter(tenant_id=ACME).values(),
            *ShippingReceipt.objects.filter(tenant_id=ACME).values(),
        ]
    assert TOKEN not in repr(operators) + caplog.text + repr(rows)
