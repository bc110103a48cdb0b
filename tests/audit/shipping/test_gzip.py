"""Events travel as gzip, which all three vendors take, or plain where somebody in between does not."""

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
from tests.audit.shipping.runs import cursor, head, reconcile, refusals, shipped
from tests.cast import ACME

pytestmark = pytest.mark.usefixtures("db")

_EVENTS = ("/services/collector/event", "/api/v2/logs", "/audit/_bulk")


def tried(target: Target) -> str:
    with scope(tenant_id=ACME, actor=WRITER):
        return trying.attempt(target)


@every_vendor
@pytest.mark.parametrize("is_gzipped", [True, False])
def test_events_travel_as_told_and_all_else_plain(receiver: Receiver, settings: Any, is_gzipped: bool) -> None:
    target = configure(settings, receiver, GZIP=is_gzipped)
    write(20, tenant=ACME, changes={"text": "ä — 🜁"})
    last = head()

    assert shipped(target).shipped == last
    assert reconcile()["whole"]

    assert receiver.kept(ACME) == list(range(1, last + 1))
    asked = list(zip(receiver.requests, receiver.encodings, strict=True))
    assert {encoding for path, encoding in asked if path in _EVENTS} == {"gzip" if is_gzipped else None}
    # Acknowledgements and searches are few words; a body that is none of what its header says is refused.
    others = {encoding for path, encoding in asked if path not in _EVENTS}
    assert others == {None}


@every_vendor
def test_one_in_between_that_takes_no_gzip_is_named_and_nothing_is_lost(receiver: Receiver, settings: Any) -> None:
    packed = configure(settings, receiver)
    write(5, tenant=ACME)
    receiver.faults.refuses_gzip = True

    assert (shipped(packed).error, tried(packed)) == ("encoding_refused", "encoding_refused")
    assert (cursor(packed).seq, refusals(), receiver.stored) == (0, [], {})

    plain = configure(settings, receiver, GZIP=False)
    with clock.freeze(clock.now() + timedelta(minutes=5)):
        assert shipped(plain).shipped == head()


@pytest.mark.parametrize("receiver", ["splunk"], indirect=True)
def test_gzip_that_nobody_unpacks_is_no_bad_record(receiver: Receiver, operators: Target) -> None:
    write(5, tenant=ACME)
    receiver.faults.leaves_gzip = True

    assert (shipped(operators).error, tried(operators)) == ("invalid_data_format", "invalid_data_format")
    assert (cursor(operators).seq, refusals(), receiver.stored) == (0, [], {})

    receiver.faults.leaves_gzip = False
    with clock.freeze(clock.now() + timedelta(minutes=5)):
        assert shipped(operators).shipped == head()
