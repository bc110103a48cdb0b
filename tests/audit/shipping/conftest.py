"""Receivers that listen, and destinations that lead to them."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from audit.shipping import destinations, reconciling
from audit.shipping.destinations import Target
from audit.tree import signing
from kaireon.tenancy.context import PLATFORM, scope, transaction
from tests.audit.log import WRITER
from tests.audit.shipping.datadog import Datadog
from tests.audit.shipping.elastic import Elastic
from tests.audit.shipping.receivers import SEARCH_TOKEN, TOKEN, Receiver, listening
from tests.audit.shipping.splunk import Splunk
from tests.cast import ACME, GLOBEX

VENDORS: dict[str, Callable[[], Receiver]] = {"splunk": Splunk, "datadog": Datadog, "elastic": Elastic}


@pytest.fixture
def receiver(request: pytest.FixtureRequest) -> Iterator[Receiver]:
    """Of the vendor that the test is marked with, or of the operator's SIEM by default Elasticsearch."""
    vendor = getattr(request, "param", "elastic")
    with listening(VENDORS[vendor]()) as it:
        yield it


@pytest.fixture
def operators(receiver: Receiver, settings: Any) -> Target:
    """The operator's destination leads to the receiver."""
    return configure(settings, receiver)


def configure(settings: Any, receiver: Receiver, **other: Any) -> Target:
    given = {
        "BACKEND": next(name for name, kind in VENDORS.items() if isinstance(receiver, kind)),  # type: ignore[arg-type]
        "ENDPOINT": receiver.url,
        "API_KEY": TOKEN,
        "INDEX": "audit",
        "SEARCH_ENDPOINT": receiver.url,
        "SEARCH_KEY": SEARCH_TOKEN,
        "PRIVATE": True,
        **other,
    }
    for name, value in given.items():
        setattr(settings, f"SIEM_{name}", value)
    found = destinations.operators()
    assert found is not None
    return found


def every_vendor(test: Any) -> Any:
    return pytest.mark.parametrize("receiver", list(VENDORS), indirect=True)(test)


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not found at once is missing: these receivers index at once, unless a test says otherwise."""
    monkeypatch.setattr(reconciling, "SETTLES", timedelta(0))


@pytest.fixture(autouse=True)
def _keys(db: str) -> None:
    """Each log has its signing key: making it is a record of its own, which no test here counts."""
    for tenant in (ACME, GLOBEX, PLATFORM):
        with scope(tenant_id=tenant, actor=WRITER), transaction():
            signing.signer()
