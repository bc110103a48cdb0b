"""The page of what the next purge would delete: the same rows that it then deletes."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from compliance.models import Hold
from compliance.purging import purge
from compliance.retention import policies
from cron import beat_rows
from customers.models import Customer, Interaction
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.admin.inline import refused
from tests.admin.test_plan_pages import text_of
from tests.cast import ADA, ED, MALLORY, VI, Person
from tests.compliance.rows import AGREED, NOW, count, customer, days_ago, hold, interactions, policy

PAGE = "/admin/compliance/purgeplan/tomorrow/"
# The schedule of cleanup: half past four.
NEXT = (NOW + timedelta(days=1)).replace(hour=4, minute=30)


@pytest.fixture(autouse=True)
def _noon() -> Iterator[None]:
    with clock.freeze(NOW):
        yield


@pytest.fixture
def old(db: str) -> Customer:
    """Two interactions past their time, one that will be by the next run, and one that will not."""
    beat_rows.install()
    who = customer()
    interactions(who, 40, 50, 29.5, 29)
    policy("interactions", 30)
    return who


def shown(client: Client, **asked: str) -> dict[str, tuple[str, str]]:
    """What goes and what is held back, by entity."""
    answer = client.get(PAGE, asked)
    assert answer.status_code == 200
    assert refused(answer) == []
    found = re.findall(r'<tr data-entity="(\w+)">.*?k-number">([^<]+)</td>.*?</tr>', answer.content.decode(), re.S)
    rows = re.findall(r'<tr data-entity="(\w+)">(.*?)</tr>', answer.content.decode(), re.S)
    held = {name: re.sub(r"<[^>]+>", " ", text.split("<td>")[3]).split()[0] for name, text in rows}
    return {name: (going, held[name]) for name, going in found}


def cleanup(at: datetime) -> Any:
    with ADA.here(), clock.freeze(at):
        return purge.purge_expired(now=at, actor=ADA.actor)


def test_it_says_what_the_next_cleanup_then_deletes(old: Customer, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    answer = client.get(PAGE)
    assert NEXT.strftime("%Y-%m-%dT%H:%M:00+00:00") in answer.content.decode()
    assert shown(client) == {"interactionHistory": ("3", "nothing")}
    assert "30 days, version 1 of the policy" in text_of(answer)
    first = re.search(r'href="([^"]+explain/[^"]+)"', answer.content.decode())
    assert first
    assert "How it can go" in client.get(first[1].replace("&amp;", "&")).content.decode()
    assert "look=1&amp;classes=interactions" in answer.content.decode()
    assert "Kept because nobody said how long" in text_of(answer)
    assert count(Interaction) == 4
    assert cleanup(NEXT).deleted["interactionHistory"] == 3
    with clock.freeze(NEXT):
        # The one that is young now is what the run after that takes.
        assert shown(sign_in(ADA)) == {"interactionHistory": ("1", "nothing")}
        assert shown(sign_in(ADA), at=clock.rfc3339(NEXT)) == {}


def test_a_profile_goes_with_what_refers_to_it_and_only_then(db: str, sign_in: SignIn) -> None:
    gone, kept = customer("gone", active=days_ago(400)), customer("kept", active=days_ago(400))
    interactions(gone, 40)
    interactions(kept, 40, 1)
    policy("profiles", 365)
    policy("interactions", 30)
    assert shown(sign_in(ADA), at=clock.rfc3339(NOW)) == {
        "interactionHistory": ("2", "nothing"),
        "customer": ("1", "nothing"),
    }
    deleted = cleanup(NOW).deleted
    assert (deleted["interactionHistory"], deleted["customer"]) == (2, 1)


def test_at_the_cutoff_itself_a_row_stays(old: Customer, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    with ADA.here(), transaction():
        last = Interaction.objects.order_by("-occurred_at").first()
        assert last is not None
    edge = last.occurred_at + timedelta(days=30)
    for at, going in ((edge, "3"), (edge + timedelta(microseconds=1), "4")):
        assert shown(client, at=clock.rfc3339(at)) == {"interactionHistory": (going, "nothing")}
    assert cleanup(edge).deleted["interactionHistory"] == 3


def test_what_is_decided_counts_from_when_it_does(old: Customer, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    with ADA.here(), transaction():
        policies.upsert_policy(data_class="interactions", retention_days=29, actor=ADA.actor, now=NOW)
    begins = NOW + timedelta(hours=settings.RETENTION_COOLING_OFF_HOURS)
    assert shown(client)["interactionHistory"][0] == "3"
    assert shown(client, at=clock.rfc3339(begins))["interactionHistory"][0] == "4"
    assert "29 days, version 2" in text_of(client.get(PAGE, {"at": clock.rfc3339(begins)}))


def test_what_a_policy_counts_from_is_what_is_looked_at(db: str, sign_in: SignIn) -> None:
    (row, _) = interactions(customer(), 400, 40)
    with ADA.here(), transaction():
        Interaction.objects.filter(pk=row.pk).update(created_at=days_ago(31))
        Interaction.objects.exclude(pk=row.pk).update(created_at=days_ago(29))
        policies.upsert_policy(
            data_class="interactions", retention_days=30, anchor="created_at", actor=ADA.actor, now=NOW
        )
    client = sign_in(ADA)
    asked = {"at": clock.rfc3339(NOW)}
    assert shown(client, **asked) == {"interactionHistory": ("1", "nothing")}
    page = client.get(PAGE, asked)
    assert "30 days from created_at, version 1" in text_of(page)
    assert days_ago(31).strftime("%Y-%m-%dT%H:%M:%S+00:00") in page.content.decode()
    assert cleanup(NOW).deleted["interactionHistory"] == 1


def test_what_a_hold_keeps_is_held_back_until_its_release_ends(old: Customer, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    placed = hold(old)
    assert shown(client) == {"interactionHistory": ("0", "3")}
    assert "Hold: Case 7" in text_of(client.get(PAGE))
    with ADA.here(), transaction():
        Hold.objects.filter(pk=placed.pk).update(**AGREED, releases_at=NEXT - timedelta(hours=1))
    assert shown(client) == {"interactionHistory": ("3", "nothing")}
    assert shown(client, at=clock.rfc3339(NEXT - timedelta(hours=2)))["interactionHistory"] == ("0", "3")
    policy("interactions", 30, hold=True)
    assert shown(client) == {"interactionHistory": ("0", "3")}
    assert "The whole class is held" in text_of(client.get(PAGE))
    assert cleanup(NEXT).deleted.get("interactionHistory", 0) == 0


def test_the_other_job_has_no_schedule_and_sweeps_less(old: Customer, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    page = text_of(client.get(PAGE, {"job": "dsar-purge"}))
    assert "dsar-purge has no schedule" in page
    assert "runs next" in text_of(client.get(PAGE, {"job": "rm -rf"}))


@pytest.mark.parametrize("at", ["soon", "2020-01-01", "2026-02-30", "9999-12-31T23:59:59-14:00", "<b>"])
def test_a_moment_that_is_none_is_said_so(at: str, old: Customer, sign_in: SignIn) -> None:
    answer = sign_in(ADA).get(PAGE, {"at": at})
    assert answer.status_code == 200
    assert 'role="alert"' in answer.content.decode()
    assert 'id="found"' not in answer.content.decode()


def test_at_the_end_of_time_everything_with_a_policy_goes(old: Customer, sign_in: SignIn) -> None:
    assert shown(sign_in(ADA), at="9999-12-31")["interactionHistory"] == ("4", "nothing")


def test_without_anything_it_says_so(db: str, sign_in: SignIn) -> None:
    assert "Nothing is past its time then." in text_of(sign_in(ADA).get(PAGE))


@pytest.mark.parametrize("person", [ED, VI, MALLORY], ids=lambda p: p.role)
def test_nobody_else_sees_it(person: Person, old: Customer, sign_in: SignIn) -> None:
    answer = sign_in(person).get(PAGE)
    if person is MALLORY:
        assert answer.status_code == 200
        assert "interactionHistory" not in answer.content.decode()
    else:
        assert answer.status_code == 403


def test_the_oldest_and_the_newest_are_told(old: Customer, sign_in: SignIn) -> None:
    page = sign_in(ADA).get(PAGE).content.decode()
    for moment in (days_ago(50), days_ago(29.5)):
        assert moment.strftime("%Y-%m-%dT%H:%M:%S+00:00") in page
