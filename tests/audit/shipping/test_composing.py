"""Records that PostgreSQL composes are those that are read one by one, to the byte; what it cannot, is read so."""

import time
from typing import Any

import orjson
import pytest
from django.db.backends.signals import connection_created

import audit
from audit.shipping import composing, events, formats, shipping
from audit.shipping.composing import Ahead
from audit.shipping.destinations import Target
from audit.shipping.sending import FORMATS
from audit.tree import signing
from kaireon.lib import clock
from kaireon.tenancy.context import scope, transaction
from tests.audit.kills.child import fork, killed
from tests.audit.log import WRITER, write
from tests.audit.shipping.conftest import every_vendor
from tests.audit.shipping.receivers import Receiver
from tests.audit.shipping.runs import cursor, head, is_seq, refusals, shipped
from tests.audit.shipping.test_kills import _until_request, check, die_everywhere, finish
from tests.cast import ACME

pytestmark = pytest.mark.usefixtures("db")

ODD = {"n": 1e21, "wörter": 'quote " and \\ and \n and % and {} and \u2028', "deep": [[1, None, {"a": True}]]}


@pytest.mark.parametrize(("backend", "is_old"), [*((backend, True) for backend in FORMATS), ("datadog", False)])
def test_they_are_the_same_to_the_byte(backend: str, is_old: bool) -> None:
    write(7, tenant=ACME, changes=ODD)
    old = head()
    # A date has milliseconds: none of the records shares one with the moment between them.
    time.sleep(0.005)
    between = clock.now()
    time.sleep(0.005)
    write(4, tenant=ACME, first=7)
    last = head()
    format_ = FORMATS[backend]
    target = Target(key="t", name="t", backend=backend, endpoint="https://x.example", index="audit", api_key="made-up")
    # The older ones are too old; the younger ones too far ahead.
    now, left_out = (between + formats.OLDEST_DATE, old) if is_old else (between - formats.NEWEST_DATE, last - old)
    with clock.freeze(now), scope(tenant_id=ACME, actor=WRITER):
        ahead = Ahead(format_, target, until=last, most=500)
        parcel = ahead.take(0)
        assert parcel is not None
        assert (parcel.first, parcel.count, ahead.take(last)) == (1, last, None)
        with transaction():
            one_by_one = events.read(ACME, after=0, until=last, most=last, as_text=format_.as_text)
            log = signing.origin(ACME)
        bodies = [formats.encode(event, format_.envelope(target, log)) for event in one_by_one]
        assert format_.between.join(parcel.parts) == format_.between.join(bodies)
        assert list(parcel.ids(log)) == [event.id for event in one_by_one]
        assert parcel.leaves == "".join(event.hash for event in one_by_one)
    if backend == "datadog":
        assert [b'"date":' in body for body in bodies].count(False) == left_out


ODD_TEXTS = ('"', "\\", "a\nb", "\x01", "\x7f \u2028 \U0001f512", "", '","seq":0,"x":"', "%s {} %%")


@pytest.mark.parametrize("backend", list(FORMATS))
def test_texts_that_json_escapes_are_escaped(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composing, "TOGETHER", 2)
    with scope(tenant_id=ACME, actor=WRITER), transaction():
        for text in ODD_TEXTS:
            audit.record(action="test.event", entity_type="Thing", entity_id="1", entity_name=text)
            audit.record(action="test.event", entity_type=f"Thing{text}", entity_id=text or "1")
    last = head()
    format_ = FORMATS[backend]
    target = Target(key="t", name="t", backend=backend, endpoint="https://x.example", index="audit", api_key="made-up")
    with scope(tenant_id=ACME, actor=WRITER):
        parcel = Ahead(format_, target, until=last, most=500).take(0)
        with transaction():
            one_by_one = events.read(ACME, after=0, until=last, most=last, as_text=format_.as_text)
            log = signing.origin(ACME)

    assert parcel is not None
    bodies = [formats.encode(event, format_.envelope(target, log)) for event in one_by_one]
    assert format_.between.join(parcel.parts) == format_.between.join(bodies)
    said = [orjson.loads(event.text) for event in one_by_one]
    things = [one for one in said if one["entityType"] == "Thing"]
    assert [one["entityName"] for one in things if one["entityName"] is not None] == list(ODD_TEXTS)


@pytest.fixture
def _slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several of each in a small log, so that most are composed by the other thread."""
    monkeypatch.setattr(composing, "SLICE", 7)
    monkeypatch.setattr(composing, "TOGETHER", 3)
    monkeypatch.setattr(shipping, "BATCH", 5)
    monkeypatch.setattr(shipping, "AHEAD", 3)


@every_vendor
@pytest.mark.usefixtures("_slices")
def test_large_ones_and_refused_ones_among_them_arrive_in_order(receiver: Receiver, operators: Target) -> None:
    for first in range(0, 40, 10):
        write(9, tenant=ACME, first=first)
        write(1, tenant=ACME, first=first + 9, changes={"text": "x" * (composing.LARGE + 1)})
    last = head()
    receiver.faults.refuses = is_seq(23)

    done = shipped(operators)

    assert (done.shipped, done.scanned, done.error) == (last - 1, last, "")
    assert receiver.kept(ACME) == [n for n in range(1, last + 1) if n != 23]
    assert [refusal[:2] for refusal in refusals()] == [(23, 23)]
    assert cursor(operators).seq == last


@pytest.mark.usefixtures("_slices")
def test_a_record_that_is_gone_from_a_later_slice_is_not_passed_over(
    receiver: Receiver, operators: Target, superuser: Any
) -> None:
    write(40, tenant=ACME)
    head()
    superuser.execute("SET session_replication_role = replica")
    superuser.execute("DELETE FROM audit_record WHERE tenant_id = %s AND seq = 31", [ACME])

    assert shipped(operators).error == "records_missing"
    assert cursor(operators).seq == 30
    assert receiver.seqs(ACME) == list(range(1, 31))


@pytest.mark.usefixtures("_slices")
def test_readers_close_their_own_connections_and_no_other() -> None:
    write(30, tenant=ACME)
    last = head()
    opened: list[Any] = []

    def note(connection: Any, **_: object) -> None:
        opened.append(connection)

    target = Target(key="t", name="t", backend="splunk", endpoint="https://x.example", index="audit", api_key="made-up")
    with scope(tenant_id=ACME, actor=WRITER):
        ahead = Ahead(FORMATS["splunk"], target, until=last, most=500)
        connection_created.connect(note)
        try:
            assert ahead.take(0) is not None
        finally:
            ahead.close()
            connection_created.disconnect(note)

    assert len(opened) == composing.READERS
    assert [one.connection for one in opened] == [None] * composing.READERS


@pytest.mark.usefixtures("_slices")
def test_killed_while_the_next_slice_is_composed(receiver: Receiver, operators: Target) -> None:
    write(20, tenant=ACME)

    def dying_at(point: int) -> bool:
        return killed(fork(lambda: _until_request(point, lambda: shipped(operators))))

    assert die_everywhere(receiver, operators, dying_at) >= 4
    check(receiver, operators)
    finish(receiver, operators)
