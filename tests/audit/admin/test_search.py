"""Searching the log: who finds what, page by page."""

import html
import re
from datetime import timedelta

import psycopg
import pytest
from django.test import Client

import audit
from customers.models import Customer
from kaireon.lib import clock
from kaireon.tenancy.context import Actor, scope, transaction
from tests.admin.conftest import SignIn
from tests.audit.admin.pages import LOG, links, numbers, rename, shown
from tests.audit.log import records, write
from tests.cast import ACME, ADA, AUD, ED, MALLORY, VI, Person

_HALF_PAST_FIVE = timedelta(hours=5, minutes=30)


def test_it_finds_by_type_id_action_actor_request_and_number(client: Client) -> None:
    record = rename("Renamed", "req-find")
    for asked in (
        {"entity_id": record.entity_id, "action": "update"},
        {"entity_type": "ApiKey", "action": "update"},
        {"entity_type": "ApiKey", "entity_id": record.entity_id, "actor": "Ada"},
        {"actor": record.user_id or "", "entity_id": record.entity_id},
        {"request": "req-find"},
        {"q": "req-find"},
        {"q": f"#{record.seq}"},
        {"q": str(record.seq)},
        {"q": str(record.pk)},
        {"q": " update "},
    ):
        assert numbers(client, **asked) == [record.seq], asked
    assert record.seq in numbers(client, q=record.entity_id)
    assert record.seq in numbers(client, q="ApiKey")
    assert record.seq in numbers(client, q="Ada")
    for asked in ({"q": "Ad"}, {"q": "%"}, {"action": "updat"}, {"entity_type": "ApiKey", "actor": "Mallory"}):
        assert numbers(client, **asked) == [], asked


def test_it_finds_by_time_with_or_without_a_zone(client: Client, superuser_url: str) -> None:
    with psycopg.connect(superuser_url) as root:
        root.execute("SELECT set_config('app.actor_type', 'system', true)")
        root.execute("UPDATE tenancy_tenant SET time_zone = 'Asia/Kolkata' WHERE id = 'acme'")
    with scope(tenant_id=ACME, actor=Actor.job("clock")), clock.freeze(clock.now()), transaction():
        audit.record(action="test.now", entity_type="Test", entity_id="1")
    [record] = records(ACME, action="test.now")
    hour = record.timestamp.replace(minute=0, second=0, microsecond=0)
    local = (hour + _HALF_PAST_FIVE).replace(tzinfo=None).isoformat()
    for since, until, hit in (
        (f"{hour:%Y-%m-%dT%H:%M}Z", "", True),
        (f"{hour:%Y-%m-%dT%H:%M}+00:00", "2999-01-01", True),
        ("", f"{hour:%Y-%m-%dT%H:%M}Z", False),
        (local, "", True),
        ("", local, False),
        ("2999-01-01", "", False),
    ):
        found = numbers(client, **{"from": since, "to": until, "action": "test.now"})
        assert found == ([record.seq] if hit else []), (since, until)
    # The same words in UTC are another moment.
    assert numbers(client, **{"from": local, "zone": "UTC", "action": "test.now"}) == []


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"from": "yesterday"}, "is no moment"),
        ({"from": "2026-02-30"}, "is no moment"),
        ({"to": "2026-13-01T00:00Z"}, "is no moment"),
        ({"from": "2026-02-02", "to": "2026-02-01"}, "ends before it begins"),
        ({"q": "a\x00b"}, "may not hold NUL"),
        ({"from": "0001-01-01T00:00", "to": "9999-12-31T23:59"}, ""),
        ({"q": "9" * 30}, "Nothing matches"),
        ({"before": "x", "after": "-1"}, ""),
        ({"before": "9" * 40}, ""),
        ({"zone": "Mars/Olympus"}, ""),
        ({"q": "'; DROP TABLE audit_record; --"}, "Nothing matches"),
        ({"subject": "\U0001f600" * 100}, "Nothing matches"),
    ],
)
def test_odd_searches_are_answered_in_words(client: Client, asked: dict[str, str], words: str) -> None:
    write(1, tenant=ACME)
    answer = client.get(LOG, asked)
    assert answer.status_code == 200
    assert words in html.unescape(answer.content.decode())


def test_it_finds_what_happened_to_a_person_by_number_address_and_id(client: Client) -> None:
    with ADA.here(), transaction():
        nils = Customer.objects.create(customer_id="N-1", name="Nils", email="nils@example.org")
        Customer.objects.create(customer_id="N-2", name="Nora", email="nora@example.org")
    [record] = records(ACME, entity_id=str(nils.pk), action="create")
    for named in ("N-1", "Nils@Example.org", str(nils.pk)):
        assert numbers(client, subject=named) == [record.seq], named
    assert numbers(client, subject="N-3") == []
    # The search itself is recorded, and not whom it was for.
    read = records(ACME, action="audit_log.read")
    assert {"searchedBy": ["subject"]} in [r.changes for r in read]
    assert "N-1" not in str([(r.changes, r.entity_id) for r in read])
    key = str(nils.pk)
    with ADA.here(), transaction():
        nils.delete()
    assert len(numbers(client, subject=key)) == 2


def test_pages_go_to_the_end_and_back_without_a_gap(client: Client) -> None:
    write(130, tenant=ACME)
    last = records(ACME)[-1].seq
    for asked in ("q=test.event", "action=test.event", "action=test.event&from=2000-01-01"):
        seen, path = [], f"{LOG}?{asked}"
        turned = [path]
        for _ in range(4):
            page = client.get(path).content.decode()
            seen.append([int(n) for n in re.findall(r"<th scope=\"row\"><a [^>]+>#(\d+)</a>", page)])
            if "Older" not in (to := links(client, path)):
                break
            path = to["Older"]
            turned.append(path)
        assert [len(page) for page in seen] == [50, 50, 30]
        flat = [n for page in seen for n in page]
        assert flat == sorted(flat, reverse=True)
        assert flat[0] == last
        assert len(set(flat)) == 130
        back = links(client, turned[-1])["Newer"]
        assert re.findall(r"#(\d+)</a></th>", client.get(back).content.decode()) == [str(n) for n in seen[1]]
        assert asked.partition("=")[2].split("&")[0] in links(client, turned[-1])["Newest"]


def test_an_empty_log_and_an_empty_search_say_so(superuser_url: str, sign_in: SignIn) -> None:
    client = sign_in(MALLORY)
    assert "Nothing matches" in client.get(LOG, {"q": "nobody"}).content.decode()


@pytest.mark.parametrize(
    ("person", "status"), [(ADA, 200), (AUD, 200), (ED, 403), (VI, 403)], ids=["admin", "auditor", "editor", "viewer"]
)
def test_only_admins_and_auditors_see_the_log(person: Person, status: int, sign_in: SignIn) -> None:
    record = rename("Renamed", "req-role")
    client = sign_in(person)
    for path in (LOG, f"{LOG}{record.pk}/change/", f"{LOG}{record.pk}/proof/", f"{LOG}verify/", f"{LOG}evidence/"):
        answer = client.get(path, follow=True)
        assert answer.status_code == status, path
    assert client.post(f"{LOG}{record.pk}/change/", {"action": "unsaid"}).status_code == 403


def test_another_tenant_finds_nothing_of_it(sign_in: SignIn) -> None:
    record = rename("Renamed", "req-mine")
    client = sign_in(MALLORY)
    for asked in ({"q": str(record.pk)}, {"q": "req-mine"}, {"request": "req-mine"}, {"entity_id": record.entity_id}):
        assert numbers(client, **asked) == []
    assert client.get(f"{LOG}{record.pk}/proof/").status_code == 404


def test_reading_and_searching_are_records(client: Client) -> None:
    record = rename("Renamed", "req-read")
    client.get(LOG)
    shown(client, record)
    client.get(LOG, {"q": "x", "action": "y"})
    read = records(ACME, action="audit_log.read")
    assert [(r.entity_id, r.changes) for r in read] == [
        (ACME, None),
        (str(record.pk), None),
        (ACME, {"searchedBy": ["word", "action"]}),
    ]
