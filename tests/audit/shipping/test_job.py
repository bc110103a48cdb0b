"""The job siem-ship: its answer, who gets what, and what is skipped with a reason."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.core.management import ManagementUtility, call_command

from audit.models import SiemDestination
from audit.shipping import checks, destinations
from audit.shipping.destinations import DestinationRefused, Target
from cron import runner
from cron.models import Trigger
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.audit.log import write
from tests.audit.shipping.conftest import VENDORS
from tests.audit.shipping.receivers import SEARCH_TOKEN, TOKEN, Receiver, listening
from tests.audit.shipping.runs import head
from tests.cast import ACME, ADA, GLOBEX, MALLORY, Person

pytestmark = pytest.mark.usefixtures("db")

Listen = Callable[[str], Receiver]


@pytest.fixture
def listen() -> Iterator[Listen]:
    with ExitStack() as stack:
        yield lambda vendor: stack.enter_context(listening(VENDORS[vendor]()))


def own(person: Person, receiver: Receiver, *, name: str = "ours", **other: Any) -> SiemDestination:
    """A destination of the person's tenant's that leads to the receiver."""
    backend = next(vendor for vendor, kind in VENDORS.items() if isinstance(receiver, kind))  # type: ignore[arg-type]
    given = {
        "name": name,
        "backend": backend,
        "endpoint": receiver.url,
        "index": "audit",
        "sourcetype": "",
        "event_bytes": None,
        "is_gzipped": True,
        "search_endpoint": receiver.url,
        **other,
    }
    with person.here(), transaction():
        return destinations.save(row=None, given=given, api_key=TOKEN, search_key=SEARCH_TOKEN, now=clock.now())


def run(**options: Any) -> dict[str, Any]:
    return runner.run_job("siem-ship", trigger=Trigger.COMMAND, **options).body


def test_its_answer_is_that_of_the_contract(receiver: Receiver, operators: Target) -> None:
    write(30, tenant=ACME)
    write(20, tenant=GLOBEX)
    last = head(ACME) + head(GLOBEX)

    body = run()

    assert {name: body[name] for name in ("ok", "backend", "shipped", "errors", "windowSeconds", "rowsScanned")} == {
        "ok": True,
        "backend": "elastic",
        "shipped": last,
        "errors": 0,
        "windowSeconds": 300,
        "rowsScanned": last,
    }
    assert body["platform"]["shipped"] > 0
    assert receiver.seqs(ACME) == list(range(1, head(ACME) + 1))
    # What the run itself brings about is the next one's: it does not follow its own tail.
    again = run()
    assert (again["ok"], again["shipped"]) == (True, 0)


def test_what_kept_the_platforms_log_back_is_said_beside_what_was_shipped(
    receiver: Receiver, operators: Target
) -> None:
    write(3, tenant=ACME)
    receiver.faults.answers = [(500, {}, b"{}")]
    body = run()
    assert (body["ok"], body["error"], body["errors"]) == (False, "platform: operator: http_500", 0)
    assert body["platform"]["shipped"] == 0
    assert body["shipped"] == head(ACME) + head(GLOBEX)


def test_unset_it_is_skipped_and_says_why() -> None:
    write(2, tenant=ACME)

    assert run() == {"ok": True, "skipped": "SIEM_BACKEND is not set, and no tenant has a destination of its own"}


HALVES = {
    "unknown": ({"BACKEND": "sumo", "ENDPOINT": "https://x.example", "API_KEY": "k"}, "SIEM_BACKEND is one of"),
    "unknown alone": ({"BACKEND": "sumo"}, "SIEM_BACKEND is one of"),
    "no endpoint": ({"BACKEND": "splunk", "API_KEY": "k"}, "SIEM_ENDPOINT is not set"),
    "no key": ({"BACKEND": "splunk", "ENDPOINT": "https://x.example"}, "SIEM_API_KEY is not set"),
    "neither": ({"BACKEND": "datadog"}, "SIEM_ENDPOINT and SIEM_API_KEY are not set"),
    "no backend": ({"ENDPOINT": "https://x.example"}, "SIEM_BACKEND is not set"),
    "no index": ({"BACKEND": "elastic", "ENDPOINT": "https://x.example", "API_KEY": "k"}, "SIEM_INDEX is needed"),
    "plain": ({"BACKEND": "splunk", "ENDPOINT": "http://x.example", "API_KEY": "k"}, "must begin with https"),
    "a login": ({"BACKEND": "splunk", "ENDPOINT": "https://a:b@x.example", "API_KEY": "k"}, "neither login"),
    "private": (
        {"BACKEND": "splunk", "ENDPOINT": "https://10.0.0.5:8088", "API_KEY": "k"},
        "SIEM_ENDPOINT is no public",
    ),
    "a port": ({"BACKEND": "splunk", "ENDPOINT": "https://x.example:99999", "API_KEY": "k"}, "cannot be read"),
    "a key in two": ({"BACKEND": "splunk", "ENDPOINT": "https://x.example", "API_KEY": "a b"}, "SIEM_API_KEY takes"),
    "an index": (
        {"BACKEND": "splunk", "ENDPOINT": "https://x.example", "API_KEY": "k", "INDEX": 'a" OR 1'},
        "SIEM_INDEX takes",
    ),
    "too small": (
        {"BACKEND": "splunk", "ENDPOINT": "https://x.example", "API_KEY": "k", "EVENT_BYTES": 9},
        "SIEM_EVENT_BYTES is a number",
    ),
}


@pytest.mark.parametrize("name", HALVES)
def test_what_is_half_configured_is_skipped_and_a_failed_check(name: str, settings: Any, caplog: Any) -> None:
    given, said = HALVES[name]
    for variable, value in given.items():
        setattr(settings, f"SIEM_{variable}", value)
    write(2, tenant=ACME)

    body = run()

    assert body["ok"]
    assert said in body["skipped"]
    [message] = checks.siem_can_be_shipped_to(None)
    assert (message.id, message.level) == ("kaireon.E044", 40)
    assert said in message.msg
    assert message.hint
    assert "siem_misconfigured" in caplog.text


@pytest.mark.parametrize("command", [("cron", "list"), ("audit_sequencer", "--once")])
def test_what_is_half_configured_stops_neither_jobs_nor_the_log(
    command: tuple[str, ...], settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each begins as from a shell, with its checks: Django begins no other command while one fails."""
    settings.SIEM_BACKEND = "splunk"
    with pytest.raises(SystemExit):
        ManagementUtility(["manage.py", "siem_reconcile", "--tenant", ACME]).execute()
    assert "kaireon.E044" in capsys.readouterr().err

    ManagementUtility(["manage.py", *command]).execute()


def test_configured_or_unset_the_check_is_silent(operators: Target, settings: Any) -> None:
    assert checks.siem_can_be_shipped_to(None) == []
    for name in ("BACKEND", "ENDPOINT", "API_KEY"):
        setattr(settings, f"SIEM_{name}", "")
    assert checks.siem_can_be_shipped_to(None) == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_tenants_own_destination_gets_its_own_log_and_no_other(listen: Listen, settings: Any, vendor: str) -> None:
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    acmes, globexes = listen(vendor), listen(vendor)
    own(ADA, acmes)
    own(MALLORY, globexes)
    write(15, tenant=ACME)
    write(25, tenant=GLOBEX)
    lasts = head(ACME), head(GLOBEX)

    body = run()

    assert (body["ok"], body["backend"], body["shipped"]) == (True, None, sum(lasts))
    assert acmes.seqs(ACME) == list(range(1, lasts[0] + 1))
    assert globexes.seqs(GLOBEX) == list(range(1, lasts[1] + 1))
    assert {event["tenantId"] for event in acmes.events} == {ACME}
    assert {event["tenantId"] for event in globexes.events} == {GLOBEX}


def test_the_operators_and_a_tenants_own_move_apart(receiver: Receiver, operators: Target, listen: Listen) -> None:
    from django.conf import settings

    settings.ALLOW_PRIVATE_DESTINATIONS = True
    acmes = listen("datadog")
    own(ADA, acmes)
    write(10, tenant=ACME)
    acmes.faults.answers = [(500, {}, b"{}")]

    body = run()

    assert (body["ok"], body["errors"]) == (False, 1)
    assert receiver.seqs(ACME) == list(range(1, head() + 1))
    assert acmes.stored == {}


def test_one_destination_that_is_away_does_not_hold_up_the_others(listen: Listen, settings: Any) -> None:
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    globexes = listen("elastic")
    dead = listen("elastic")
    own(ADA, dead)
    dead.faults.drops_before = 100
    own(MALLORY, globexes)
    write(5, tenant=ACME)
    write(5, tenant=GLOBEX)

    ran = runner.run_job("siem-ship", trigger=Trigger.COMMAND)

    assert not ran.ok
    assert globexes.seqs(GLOBEX) == list(range(1, head(GLOBEX) + 1))
    assert ran.run is not None
    errors = {outcome["tenantId"]: outcome["errors"] for outcome in ran.run.outcomes}
    assert errors == {ACME: ["ours: answer_incomplete"], GLOBEX: []}


def test_private_addresses_are_refused_unless_allowed(listen: Listen, settings: Any) -> None:
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    acmes = listen("elastic")
    own(ADA, acmes)
    settings.ALLOW_PRIVATE_DESTINATIONS = False
    write(2, tenant=ACME)

    body = run()

    assert (body["ok"], body["errors"]) == (False, 1)
    assert acmes.requests == []


def test_paused_it_waits_and_goes_on(listen: Listen, settings: Any) -> None:
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    acmes = listen("elastic")
    row = own(ADA, acmes)
    with ADA.here(), transaction():
        destinations.pause(row, paused=True, now=clock.now())
    write(5, tenant=ACME)
    run()
    assert acmes.events == []
    with ADA.here(), transaction():
        destinations.pause(row, paused=False, now=clock.now())
    run()
    assert acmes.seqs(ACME) == list(range(1, max(acmes.seqs(ACME)) + 1))


def test_a_dry_run_counts_and_sends_nothing(receiver: Receiver, operators: Target) -> None:
    write(5, tenant=ACME)
    last = head()

    body = run(dry_run=True)

    assert (body["shipped"], body["rowsScanned"] >= last, receiver.requests) == (0, True, [])


def test_credentials_are_sealed_and_stay_so(listen: Listen, settings: Any, superuser: Any) -> None:
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    row = own(ADA, listen("splunk"))
    found = superuser.execute("SELECT d::text FROM audit_siemdestination d").fetchall()
    assert TOKEN not in str(found)
    assert TOKEN.encode().hex() not in str(found)
    head()
    logged = superuser.execute("SELECT changes::text, before::text, after::text FROM audit_record").fetchall()
    assert TOKEN not in str(logged)
    with ADA.here(), transaction():
        assert TOKEN not in repr(destinations.target(row))


@pytest.mark.parametrize(
    ("vendor", "moved"), [("elastic", "endpoint"), ("elastic", "search_endpoint"), ("datadog", "search_endpoint")]
)
def test_a_new_endpoint_wants_its_key_anew(listen: Listen, settings: Any, vendor: str, moved: str) -> None:
    """Also one to search: Elasticsearch and Datadog are looked into with the key that ships."""
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    row = own(ADA, listen(vendor))
    there = {"endpoint": row.endpoint, "search_endpoint": row.search_endpoint}
    given = {
        name: getattr(row, name) for name in ("name", "backend", "index", "sourcetype", "event_bytes", "is_gzipped")
    }
    with ADA.here(), transaction(), pytest.raises(DestinationRefused, match="the key is needed again"):
        destinations.save(
            row=row,
            given={**given, **there, moved: "https://thief.example"},
            api_key=None,
            search_key="of-the-thief",
            now=clock.now(),
        )


def test_another_tenants_destination_is_not_there(listen: Listen, settings: Any) -> None:
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    own(ADA, listen("elastic"))
    with MALLORY.here(), transaction():
        assert destinations.own() == []
        with pytest.raises(destinations.UnknownSiem):
            destinations.find("ours")


def test_the_command_reconciles_a_tenants_own(listen: Listen, settings: Any, capsys: Any) -> None:
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    acmes = listen("splunk")
    own(ADA, acmes)
    write(5, tenant=ACME)
    run()
    acmes.lose(3, ACME)

    call_command("siem_reconcile", tenant=ACME, destination="ours")

    assert "Missing: 3." in capsys.readouterr().out
    assert 3 in acmes.kept(ACME)
