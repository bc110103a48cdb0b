"""A log reaches each vendor's receiver whole, in order; the cursor passes nothing else."""

from datetime import timedelta
from typing import Any

import pytest

from audit.following import cursors, follower
from audit.models import AuditRecord, ShippingReceipt
from audit.shipping import receipts, shipping
from audit.shipping.destinations import Target
from audit.shipping.shipping import Shipped, ship
from audit.tree import signing
from audit.tree.statements import NotAStatement
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import PLATFORM, scope, transaction
from tests.audit.log import WRITER, records, write
from tests.audit.shipping.conftest import configure, every_vendor
from tests.audit.shipping.elastic import Elastic
from tests.audit.shipping.receivers import Receiver, listening
from tests.audit.shipping.runs import cursor, head, shipped
from tests.audit.shipping.splunk import Splunk
from tests.cast import ACME, GLOBEX
from tests.race import at_once

pytestmark = pytest.mark.usefixtures("db")


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
    with pytest.raises(NotAStatement, match="signed"):
        receipts.parse(rows[0].note.replace(ACME, GLOBEX), keys)


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
