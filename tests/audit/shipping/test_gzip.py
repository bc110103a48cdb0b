"""Events travel as gzip, which all three vendors take, and plain where somebody in between does not."""

from datetime import timedelta
from typing import Any

import pytest

from audit.shipping import trying
from audit.shipping.destinations import Target
from kaireon.lib import clock
from kaireon.tenancy.context import scope
from tests.audit.log import WRITER, write
from tests.audit.shipping.conftest import configure, every_vendor
from tests.audit.shipping.receivers import Receiver
from tests.audit.shipping.runs import cursor, head, is_seq, reconcile, refusals, shipped
from tests.cast import ACME

pytestmark = pytest.mark.usefixtures("db")

_EVENTS = ("/services/collector/event", "/api/v2/logs", "/audit/_bulk")


def asked(receiver: Receiver) -> list[tuple[str, str | None]]:
    """The paths, each with the encoding of what came there."""
    return list(zip(receiver.requests, receiver.encodings, strict=True))


@every_vendor
@pytest.mark.parametrize("is_gzipped", [True, False])
def test_events_travel_as_told_and_all_else_plain(receiver: Receiver, settings: Any, is_gzipped: bool) -> None:
    target = configure(settings, receiver, GZIP=is_gzipped)
    write(20, tenant=ACME, changes={"text": "ä — 🜁"})
    last = head()

    assert shipped(target).shipped == last
    assert reconcile()["whole"]

    assert receiver.kept(ACME) == list(range(1, last + 1))
    assert {encoding for path, encoding in asked(receiver) if path in _EVENTS} == {"gzip" if is_gzipped else None}
    # Acknowledgements and searches are few words; a body that is none of what its header says is refused.
    assert {encoding for path, encoding in asked(receiver) if path not in _EVENTS} == {None}


@every_vendor
@pytest.mark.parametrize("status", [400, 415])
def test_events_go_plain_where_gzip_is_refused(
    receiver: Receiver, operators: Target, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    receiver.faults.refuses_gzip = status
    assert_goes_plain(receiver, operators, caplog)


@pytest.mark.parametrize("receiver", ["splunk"], indirect=True)
def test_events_go_plain_where_nobody_unpacks(
    receiver: Receiver, operators: Target, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.faults.leaves_gzip = True
    assert_goes_plain(receiver, operators, caplog)


def assert_goes_plain(receiver: Receiver, target: Target, caplog: pytest.LogCaptureFixture) -> None:
    write(700, tenant=ACME)
    last = head()

    assert shipped(target).shipped == last

    assert receiver.seqs(ACME) == list(range(1, last + 1))
    assert refusals() == []
    tried = [encoding for path, encoding in asked(receiver) if path in _EVENTS]
    assert tried[:2] == ["gzip", None]
    assert set(tried[2:]) <= {None}
    assert [said.message for said in caplog.records].count("siem_gzip_refused") == 1
    with scope(tenant_id=ACME, actor=WRITER):
        assert trying.attempt(target) == ""


@every_vendor
def test_a_record_that_is_refused_either_way_is_said_as_ever(receiver: Receiver, operators: Target) -> None:
    """The first one of all, so that nobody knows yet what it is about; and gzip stays."""
    write(30, tenant=ACME)
    receiver.faults.refuses = is_seq(1)

    done = shipped(operators)

    assert (done.shipped, done.refused, done.error) == (head() - 1, 1, "")
    assert [until for _, until, _ in refusals()] == [1]
    assert [encoding for path, encoding in asked(receiver) if path in _EVENTS][-1] == "gzip"


@every_vendor
@pytest.mark.parametrize(("status", "said"), [(401, "unauthorized"), (415, "http_415"), (500, "http_500")])
def test_what_is_refused_either_way_for_another_reason_moves_nothing(
    receiver: Receiver, operators: Target, status: int, said: str
) -> None:
    write(3, tenant=ACME)
    receiver.faults.answers = [(status, {}, b"")] * 2

    assert shipped(operators).error == said

    assert (cursor(operators).seq, refusals(), receiver.stored) == (0, [], {})
    with clock.freeze(clock.now() + timedelta(minutes=5)):
        receiver.faults.answers = []
        assert shipped(operators).shipped == head()
    assert [encoding for path, encoding in asked(receiver) if path in _EVENTS][-1] == "gzip"
