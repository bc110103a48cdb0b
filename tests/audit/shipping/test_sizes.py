"""Events and batches have no more bytes than the vendor takes."""

import pytest

from audit.shipping.destinations import Target
from tests.audit.log import records, write
from tests.audit.shipping.conftest import every_vendor
from tests.audit.shipping.datadog import Datadog
from tests.audit.shipping.elastic import Elastic
from tests.audit.shipping.receivers import Receiver
from tests.audit.shipping.runs import head, reconcile, shipped
from tests.audit.shipping.splunk import Splunk
from tests.cast import ACME

pytestmark = pytest.mark.usefixtures("db")


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
    assert reconcile()["whole"]
    receiver.lose(event["seq"], ACME)
    assert reconcile()["missingSeqs"] == [event["seq"]]
    assert receiver.kept(ACME) == list(range(1, last + 1))


@every_vendor
def test_a_batch_has_no_more_bytes_than_the_vendor_takes(receiver: Receiver, operators: Target) -> None:
    size = {Splunk: 9_000, Datadog: 400_000, Elastic: 900_000}[type(receiver)]
    write(30 if size > 9_000 else 600, tenant=ACME, changes={"text": "y" * size})
    last = head()

    assert shipped(operators).shipped == last
    assert max(map(len, receiver.raw)) < {Splunk: 4_100_000, Datadog: 5_000_000, Elastic: 10_100_000}[type(receiver)]
    assert not any(event.get("truncated") for event in receiver.records(ACME))
    # Nor does one answer to a search hold them all.
    said = reconcile()
    assert (said["found"], said["whole"]) == (last, True)


@every_vendor
def test_a_vendor_with_less_room_gets_less_at_a_time(receiver: Receiver, operators: Target) -> None:
    write(50, tenant=ACME)
    # Its own limit is lower than the one documented.
    receiver.MOST_BODY = receiver.MOST_CONTENT = 12_000  # type: ignore[attr-defined]

    assert shipped(operators).shipped == head()
    assert receiver.seqs(ACME) == list(range(1, head() + 1))
