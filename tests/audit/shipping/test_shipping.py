"""A log reaches each vendor's receiver whole, in order, whatever the receiver does; the cursor passes nothing else."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from audit import services
from audit.following import cursors, follower
from audit.models import AuditRecord, Cursor, ShippingReceipt, Unshippable
from audit.shipping import client, receipts, sending, shipping
from audit.shipping.destinations import Target
from audit.shipping.shipping import Shipped, ship
from audit.tree import signing
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import PLATFORM, scope, transaction
from tests.audit.log import WRITER, records, write
from tests.audit.shipping.conftest import configure, every_vendor
from tests.audit.shipping.receivers import TOKEN, Datadog, Elastic, Receiver, Splunk, listening
from tests.cast import ACME, GLOBEX
from tests.race import at_once

pytestmark = pytest.mark.usefixtures("db")


def shipped(target: Target, tenant: str = ACME, seconds: float = 60.0) -> Shipped:
    with scope(tenant_id=tenant, actor=WRITER):
        return ship(target, budget=Budget(seconds))


def cursor(target: Target, tenant: str = ACME) -> Cursor:
    with scope(tenant_id=tenant, actor=WRITER), transaction():
        return cursors.opened(target.follower, now=clock.now())


def head(tenant: str = ACME) -> int:
    services.drain(tenant)
    with scope(tenant_id=tenant, actor=WRITER), transaction():
        return cursors.head()


def refusals(tenant: str = ACME) -> list[tuple[int, int, str]]:
    with scope(tenant_id=tenant, actor=WRITER), transaction():
        rows = Unshippable.objects.filter(tenant_id=tenant).order_by("first_seq")
        return [(row.first_seq, row.last_seq, row.code) for row in rows]


def is_seq(number: int) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event["kind"] == "record" and event["seq"] == number


@every_vendor
def test_everything_arrives_in_order_with_its_hashes(receiver: Receiver, operators: Target) -> None:
    write(1234, tenant=ACME, changes={"n": 1e21, "wörter": 'quote " and \\ and \n'})
    last = head()

    done = shipped(operators)

    assert (done.shipped, done.scanned, done.error) == (last, last, "")
    assert receiver.seqs(ACME) == list(range(1, last + 1))
    assert cursor(operators).seq == last
    for event, record in zip(receiver.records(ACME), records(ACME), strict=True):
        said = [event[name] for name in ("seq", "prevHash", "integrityHash", "leafHash", "tenantId", "entityId")]
        assert said == [record.seq, record.prev_hash, record.integrity_hash, record.leaf_hash, ACME, record.entity_id]
    assert shipped(operators).shipped == 0
    write(3, tenant=ACME)
    assert shipped(operators).shipped == 3
    assert receiver.seqs(ACME) == list(range(1, last + 4))


@every_vendor
def test_a_signed_receipt_of_what_was_confirmed_arrives_too(
    receiver: Receiver, operators: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "AHEAD", 2)
    write(1100, tenant=ACME)
    last = head()
    shipped(operators)

    with scope(tenant_id=ACME, actor=WRITER), transaction():
        rows = list(ShippingReceipt.objects.filter(tenant_id=ACME).order_by("first_seq"))
        keys = signing.trusted(ACME)
        leaves = list(AuditRecord.objects.order_by("seq").values_list("leaf_hash", flat=True))
    assert [row.first_seq for row in rows] == [1, *[row.last_seq + 1 for row in rows[:-1]]]
    assert rows[-1].last_seq == last
    assert all(row.records <= 1000 and row.shipped_at for row in rows)
    arrived = {event["firstSeq"]: event for event in receiver.receipts(ACME)}
    for row in rows:
        said = receipts.parse(arrived[row.first_seq]["note"], keys)
        assert (said["firstSeq"], said["lastSeq"], said["records"]) == (row.first_seq, row.last_seq, row.records)
        assert said["leavesHash"] == receipts.leaves_hash(leaves[row.first_seq - 1 : row.last_seq])
    with pytest.raises(receipts.NotAReceipt, match="signed"):
        receipts.parse(rows[0].note.replace(ACME, GLOBEX), keys)


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


def test_without_acknowledgement_splunk_is_believed(settings: Any) -> None:
    with listening(Splunk(acks=False)) as receiver:
        target = configure(settings, receiver)
        write(20, tenant=ACME)
        assert shipped(target).shipped == head()
        assert receiver.kept(ACME) == list(range(1, head() + 1))


@pytest.mark.parametrize("receiver", ["splunk"], indirect=True)
def test_batches_go_ahead_of_their_acknowledgements(receiver: Splunk, operators: Target) -> None:
    write(1600, tenant=ACME)
    shipped(operators)

    collected = [path.rpartition("/")[2] for path in receiver.requests]
    assert collected[:4] == ["event"] * 4, "not one by one"
    assert receiver.seqs(ACME) == list(range(1, head() + 1))


@pytest.mark.parametrize("receiver", ["splunk", "elastic"], indirect=True)
def test_a_wrong_index_moves_nothing(receiver: Receiver, settings: Any) -> None:
    target = configure(settings, receiver, INDEX="another")
    write(2, tenant=ACME)

    assert shipped(target).error in ("index_refused", "not_found")
    assert cursor(target).seq == 0


@every_vendor
def test_an_event_beyond_the_vendors_limit_is_reduced_and_marked(receiver: Receiver, operators: Target) -> None:
    size = {Splunk: 11_000, Datadog: 1_100_000, Elastic: 5_100_000}[type(receiver)]
    write(1, tenant=ACME, first=1)
    write(1, tenant=ACME, first=2, changes={"text": "x" * size})
    write(1, tenant=ACME, first=3)
    last = head()

    assert shipped(operators).shipped == last
    cut = [event for event in receiver.records(ACME) if event.get("truncated")]
    assert [event["entityId"] for event in cut] == ["2"]
    [event] = cut
    [record] = records(ACME, entity_id="2", action="test.event")
    assert event["leafHash"] == record.leaf_hash
    assert event["changes"] is None
    assert "changes" in event["omitted"]
    assert event["wholeBytes"] > size
    assert len(event["wholeSha256"]) == 64
    if isinstance(receiver, Datadog):
        assert receiver.truncated == []


@every_vendor
def test_a_batch_has_no_more_bytes_than_the_vendor_takes(receiver: Receiver, operators: Target) -> None:
    size = {Splunk: 9_000, Datadog: 400_000, Elastic: 900_000}[type(receiver)]
    write(30 if size > 9_000 else 600, tenant=ACME, changes={"text": "y" * size})
    last = head()

    assert shipped(operators).shipped == last
    assert max(map(len, receiver.raw)) < {Splunk: 4_100_000, Datadog: 5_000_000, Elastic: 10_100_000}[type(receiver)]
    assert not any(event.get("truncated") for event in receiver.records(ACME))


@every_vendor
def test_a_vendor_with_less_room_gets_less_at_a_time(receiver: Receiver, operators: Target) -> None:
    write(50, tenant=ACME)
    # Its own limit is lower than the one documented.
    receiver.MOST_BODY = receiver.MOST_CONTENT = 12_000  # type: ignore[attr-defined]

    assert shipped(operators).shipped == head()
    assert receiver.seqs(ACME) == list(range(1, head() + 1))


@every_vendor
def test_two_at_once_ship_each_record_once_and_in_order(receiver: Receiver, operators: Target) -> None:
    write(700, tenant=ACME)
    last = head()

    done = at_once(lambda: shipped(operators), lambda: shipped(operators))

    assert sum(one.shipped for one in done if isinstance(one, Shipped)) == last
    assert receiver.seqs(ACME) == list(range(1, last + 1))
    assert cursor(operators).seq == last


def test_one_who_lost_its_lock_does_not_move_the_cursor(
    receiver: Receiver, operators: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Free:
        def __enter__(self) -> bool:
            return True

        def __exit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr(follower, "alone", lambda key: Free())
    write(700, tenant=ACME)
    last = head()

    done = at_once(lambda: shipped(operators), lambda: shipped(operators))

    assert sum(one.shipped for one in done if isinstance(one, Shipped)) <= last + 2
    assert cursor(operators).seq == last or shipped(operators).error == ""
    assert receiver.kept(ACME) == list(range(1, last + 1))


def test_a_clock_that_was_set_back_changes_nothing(receiver: Receiver, operators: Target) -> None:
    now = clock.now()
    write(5, tenant=ACME)
    with clock.freeze(now + timedelta(hours=2)):
        receiver.faults.answers = [(500, {}, b"{}")]
        assert shipped(operators).error == "http_500"
    with clock.freeze(now):
        # The pause lies two hours ahead; nobody waits for that.
        assert shipped(operators).shipped == head()
    write(5, tenant=ACME)
    with clock.freeze(now - timedelta(days=30)):
        assert shipped(operators).shipped == 5
    assert receiver.seqs(ACME) == list(range(1, head() + 1))


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


def test_a_tenant_that_is_deactivated_waits(receiver: Receiver, operators: Target, superuser: Any) -> None:
    write(5, tenant=ACME)
    last = head()
    superuser.execute("SET session_replication_role = replica")
    superuser.execute("UPDATE tenancy_tenant SET is_active = false WHERE id = %s", [ACME])

    assert shipped(operators) == Shipped()
    assert receiver.events == []
    superuser.execute("UPDATE tenancy_tenant SET is_active = true WHERE id = %s", [ACME])
    assert shipped(operators).shipped == last


def test_a_record_that_is_gone_is_not_passed_over(receiver: Receiver, operators: Target, superuser: Any) -> None:
    write(20, tenant=ACME)
    last = head()
    superuser.execute("SET session_replication_role = replica")
    superuser.execute("DELETE FROM audit_record WHERE tenant_id = %s AND seq = 12", [ACME])

    assert shipped(operators).error == "records_missing"
    assert cursor(operators).seq < 12
    assert all(seq < 12 for seq in receiver.seqs(ACME))
    assert last > 12


def test_set_back_everything_comes_again_under_the_same_ids(receiver: Elastic, operators: Target) -> None:
    write(10, tenant=ACME)
    last = head()
    shipped(operators)
    stored = dict(receiver.stored)
    with scope(tenant_id=ACME, actor=WRITER), transaction():
        cursors.set_back(operators.follower, to=3, now=clock.now())
        with pytest.raises(ValueError, match="not forward"):
            cursors.set_back(operators.follower, to=4, now=clock.now())

    assert shipped(operators).shipped == last - 3
    assert {name for name in receiver.stored if "receipt" not in name} == {n for n in stored if "receipt" not in n}


def test_the_log_of_no_tenant_is_shipped_as_well(receiver: Receiver, operators: Target) -> None:
    last = head(PLATFORM)
    assert last

    assert shipped(operators, PLATFORM).shipped == last
    assert receiver.seqs(PLATFORM) == list(range(1, last + 1))


def test_time_that_is_up_leaves_the_rest_for_the_next_run(
    receiver: Receiver, operators: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "BATCH", 10)
    write(40, tenant=ACME)
    last = head()
    budget = Budget(60.0)
    monkeypatch.setattr(Budget, "spent", property(lambda self: len(receiver.requests) >= 2))
    with scope(tenant_id=ACME, actor=WRITER):
        assert ship(operators, budget=budget).shipped == 20
    monkeypatch.setattr(Budget, "spent", property(lambda self: False))
    assert shipped(operators).shipped == last - 20
    assert receiver.seqs(ACME) == list(range(1, last + 1))


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
