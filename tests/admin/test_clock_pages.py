"""The clock on the page of a request: each date with its article, and the verbs that the law leaves."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dsar.deadlines import Ground
from dsar.models import DsarRequest
from dsar.requests import clocks, services, working_days
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import Tenant
from tests.admin.conftest import SignIn
from tests.admin.test_verbs import ask, only, records
from tests.cast import ACME, ADA, ED, MALLORY, VI

DSAR = "/admin/dsar/dsarrequest"
VERBS = ("extend", "pause", "resume")


def filed(*, days: int = 5, **more: Any) -> DsarRequest:
    with ADA.here(), transaction():
        now = clock.now()
        return services.create_request(
            request_type="export",
            subject_id="C-1",
            received_at=now - timedelta(days=days),
            actor=ADA.actor,
            now=now,
            **more,
        ).request


def page(client: Client, row: DsarRequest) -> str:
    return client.get(f"{DSAR}/{row.pk}/change/").content.decode()


def buttons(text: str, row: DsarRequest) -> set[str]:
    return {name for name in VERBS if f'href="{DSAR}/{row.pk}/{name}/"' in text}


def test_a_request_is_extended_and_its_page_says_why(sign_in: SignIn) -> None:
    client, row = sign_in(ADA), filed()
    assert buttons(page(client, row), row) == {"extend", "pause"}
    asked = client.get(f"{DSAR}/{row.pk}/extend/").content.decode()
    assert "GDPR Art. 12(3)" in asked
    assert ask(client, f"{DSAR}/{row.pk}/extend/", reason=" ") == 200
    assert ask(client, f"{DSAR}/{row.pk}/extend/", reason="Forty <systems>") == 302
    text = page(client, row)
    assert "Forty &lt;systems&gt;" in text
    assert "before extension and pauses" in text
    assert "Tell the subject of the extension" in text
    assert buttons(text, row) == {"pause"}
    again = client.post(f"{DSAR}/{row.pk}/extend/", {"reason": "More"})
    assert "may be only once. (GDPR Art. 12(3))" in again.content.decode()
    assert len(records("dsar.extend")) == 1


def test_buttons_and_state_of_a_page_are_of_one_moment(sign_in: SignIn) -> None:
    """Were the row read twice, a worker that ends in between would leave a page that says so without its buttons."""
    client, row = sign_in(ADA), filed()
    with CaptureQueriesContext(connection) as asked:
        assert buttons(page(client, row), row)
    reads = [q for q in asked if 'FROM "dsar_dsarrequest"' in q["sql"] and f"'{row.pk.hex}'::uuid" in q["sql"]]
    assert len(reads) == 1, reads


def test_a_clock_stands_and_runs_by_buttons(sign_in: SignIn) -> None:
    client, row = sign_in(ADA), filed(regulation="uk_gdpr")
    assert ask(client, f"{DSAR}/{row.pk}/pause/", ground="weather", reason="x") == 200
    assert ask(client, f"{DSAR}/{row.pk}/resume/") == 200
    assert ask(client, f"{DSAR}/{row.pk}/pause/", ground="fee", reason="Second copy.") == 302
    text = page(client, row)
    assert "The clock stands" in text
    assert "Second copy." in text
    assert buttons(text, row) == {"extend", "resume"}
    assert "paused" in client.get(f"{DSAR}/").content.decode()
    home = client.get("/admin/").content.decode()
    assert "paused" in home
    assert ask(client, f"{DSAR}/{row.pk}/resume/") == 302
    assert only(DsarRequest, pk=row.pk).deadline_on is not None
    assert [len(records(f"dsar.{verb}")) for verb in ("pause", "resume")] == [1, 1]


def test_a_law_without_pauses_offers_none_and_says_why(sign_in: SignIn) -> None:
    client, row = sign_in(ADA), filed(regulation="ccpa")
    text = page(client, row)
    assert buttons(text, row) == {"extend"}
    assert "Nothing stops this clock." in text
    refused = client.post(f"{DSAR}/{row.pk}/pause/", {"ground": "identity", "reason": "Passport."})
    assert refused.status_code == 200
    assert "11 CCR § 7021(b)" in refused.content.decode()


def test_a_late_request_offers_nothing_and_is_red(sign_in: SignIn) -> None:
    client, row = sign_in(ADA), filed(days=60)
    text = page(client, row)
    assert buttons(text, row) == set()
    assert "k-due k-late" in text
    assert "ran out" in client.post(f"{DSAR}/{row.pk}/extend/", {"reason": "Late."}).content.decode()


@pytest.mark.parametrize(("days", "look"), [(60, "k-late"), (28, "k-soon"), (1, "k-good")])
def test_urgency_has_colours(sign_in: SignIn, days: int, look: str) -> None:
    filed(days=days)
    client = sign_in(ADA)
    for shown in (f"{DSAR}/", "/admin/"):
        assert f"k-due {look}" in client.get(shown).content.decode()


def test_an_extended_request_is_not_overdue_at_home(sign_in: SignIn) -> None:
    row = filed(days=40)
    client = sign_in(ADA)
    assert "1 request overdue" in client.get("/admin/").content.decode()
    with ADA.here(), transaction():
        before = clock.now() - timedelta(days=20)
        clocks.extend_request(request=row, reason="Complex.", actor=ADA.actor, now=before)
        standing = services.create_request(
            request_type="export",
            subject_id="C-2",
            regulation="uk_gdpr",
            received_at=clock.now() - timedelta(days=60),
            actor=ADA.actor,
            now=clock.now(),
        ).request
        clocks.pause_request(
            request=standing, ground=Ground.FEE, reason="Fee.", actor=ADA.actor, now=clock.now() - timedelta(days=45)
        )
    assert "overdue" not in client.get("/admin/").content.decode()


def test_working_days_are_chosen_once_for_all_to_come(sign_in: SignIn) -> None:
    client, row = sign_in(ADA), filed()
    path = f"{DSAR}/working-days/"
    assert path in client.get(f"{DSAR}/").content.decode()
    for wrong in ("Mars", "DE-XX", "de"):
        assert "code of a country" in client.post(path, {"calendar": wrong}).content.decode()
    assert ask(client, path, calendar=" DE-BE ", roll="on") == 302
    tenant = only(Tenant, pk=ACME)
    assert (tenant.holiday_calendar, tenant.roll_deadlines) == ("DE-BE", True)
    assert only(DsarRequest, pk=row.pk).clock_terms["calendar"] == ""
    assert len(records("dsar.calendar")) == 1
    assert 'value="DE-BE"' in client.get(path).content.decode()
    with ADA.here(), transaction():
        working_days.choose(calendar="", roll=False)


def test_clocks_are_for_admins_of_their_tenant_alone(sign_in: SignIn) -> None:
    row = filed(regulation="uk_gdpr")
    paths = [f"{DSAR}/{row.pk}/{verb}/" for verb in VERBS]
    given = {"ground": "fee", "reason": "x"}
    for person in (ED, VI):
        client = sign_in(person)
        assert [ask(client, path, **given) for path in [*paths, f"{DSAR}/working-days/"]] == [403] * 4
    assert [ask(sign_in(MALLORY), path, **given) for path in paths] == [404] * 3
    kept = only(DsarRequest, pk=row.pk)
    assert (kept.deadline_on, kept.extended_at) == (kept.due_on, None)
