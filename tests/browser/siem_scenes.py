"""SIEM destinations for the pictures: one that has everything, one whose key was refused, one that is paused."""

from collections.abc import Callable

from playwright.sync_api import Page

from audit import services
from audit.models import SiemDestination
from audit.shipping import destinations, trying
from audit.shipping.shipping import ship
from audit.tree import signing
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import transaction
from tests.audit.shipping.elastic import Elastic
from tests.audit.shipping.receivers import SEARCH_TOKEN, TOKEN, Receiver, listening
from tests.audit.shipping.splunk import Splunk
from tests.browser.steps import follow
from tests.cast import ACME, ADA

LIST = "/admin/audit/siemdestination/"
# As they would be called where there is more than this machine.
ENDPOINTS = {
    "operations": "https://splunk.acme.example:8088",
    "security-lab": "https://elastic.acme.example:9200",
    "archive": "https://elastic-archive.acme.example:9200",
}


def take_the_destinations(page: Page, take: Callable[[Page, str], None]) -> None:
    with listening(Splunk()) as splunk, listening(Elastic()) as elastic:
        row = make("operations", splunk, backend="splunk", sourcetype="kaireon:audit", search_endpoint=splunk.url)
        make("security-lab", elastic, api_key="of-somebody-else")
        paused = make("archive", elastic)
        with ADA.here():
            with transaction():
                # Making the log's key is a record too.
                signing.signer()
            assert trying.attempt_own(row, now=clock.now()) == ""
            services.drain(ACME)
            with transaction():
                destinations.pause(paused, paused=True, now=clock.now())
                targets = destinations.own()
            services.drain(ACME)
            for target in targets:
                ship(target, budget=Budget(60))
            with transaction():
                rename()
            services.drain(ACME)
            # It has everything, what became of the others too.
            [first] = [target for target in targets if target.name == row.name]
            ship(first, budget=Budget(60))
    page.goto(LIST)
    take(page, "siem-destinations")
    page.goto(f"{LIST}{row.pk}/change/")
    take(page, "siem-destination")
    follow(page, page.get_by_role("link", name="Test connection"))
    take(page, "siem-test")


def rename() -> None:
    for name, endpoint in ENDPOINTS.items():
        found = SiemDestination.objects.filter(name=name)
        found.update(endpoint=endpoint)
        found.exclude(search_endpoint="").update(search_endpoint="https://splunk.acme.example:8089")


def make(name: str, receiver: Receiver, *, api_key: str = TOKEN, **given: str) -> SiemDestination:
    columns = {
        "name": name,
        "backend": "elastic",
        "endpoint": receiver.url,
        "index": "audit",
        "sourcetype": "",
        "event_bytes": None,
        "is_gzipped": True,
        "search_endpoint": "",
        **given,
    }
    with ADA.here(), transaction():
        search_key = SEARCH_TOKEN if columns["search_endpoint"] else None
        return destinations.save(row=None, given=columns, api_key=api_key, search_key=search_key, now=clock.now())
