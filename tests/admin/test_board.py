"""The board: what stands where and how urgent it is, what it can be narrowed to, and what it costs."""

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dsar.desk import board
from dsar.models import DsarRequest, State
from dsar.models.request import STATUS_OF
from dsar.requests import assigning
from dsar.urgency import soon_days, standing
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.admin.inline import refused
from tests.cast import ADA, AUD, ED, MALLORY, VI
from tests.dsar.conftest import file

BOARD = "/admin/dsar/dsarrequest/board/"
# One request in every state: when it came in, in days before today, and under which law.
THERE = {
    State.IDENTITY: (40, "gdpr"),
    State.APPROVAL: (25, "gdpr"),
    State.WINDOW: (3, "gdpr"),
    State.QUEUED: (36, "ccpa"),
    State.RUNNING: (30, "ccpa"),
    State.REVIEW: (3, "uk_gdpr"),
    State.FAILED: (90, "dpdpa"),
    State.DEFERRED: (60, "gdpr"),
    State.COMPLETED: (20, "gdpr"),
}
KEPT = [{"entity": "decisionTrace", "count": 2, "ground": "legal_hold", "until": "2099-05-01"}]


def fill() -> dict[State, DsarRequest]:
    """In Ada's scope."""
    now, rows = clock.now(), {}
    for number, (state, (days, law)) in enumerate(THERE.items()):
        kind = "delete" if state in (State.APPROVAL, State.WINDOW, State.DEFERRED) else "export"
        received = now - timedelta(days=days)
        row = file(kind, f"cust-{number}", regulation=law, received_at=received).request
        changed: dict[str, Any] = {"state": state, "status": STATUS_OF[state]}
        if state == State.DEFERRED:
            changed |= {"answered_at": now - timedelta(days=50), "retained": KEPT}
        if state == State.COMPLETED:
            changed |= {"closed_at": now, "outcome": "completed"}
        if state == State.FAILED:
            changed["error"] = "ambiguous_subject"
        with transaction():
            DsarRequest.objects.filter(pk=row.pk).update(**changed)
        rows[state] = row
    return rows


def lanes_of(page: str) -> dict[str, str]:
    return {part.split('"', 1)[0]: part for part in page.split('data-lane="')[1:]}


def shown(client: Client, address: str = "") -> dict[str, set[str]]:
    """The references by lane."""
    page = client.get(BOARD + address).content.decode()
    found = {name: set(re.findall(r"k-ref\">([0-9A-F-]{9})<", part)) for name, part in lanes_of(page).items()}
    return {name: some for name, some in found.items() if some}


def test_each_request_stands_where_it_waits_with_its_days_in_words(sign_in: SignIn) -> None:
    client = sign_in(ADA)
    empty = client.get(BOARD)
    assert "No requests" in empty.content.decode()
    with ADA.here():
        rows = fill()
    answer = client.get(BOARD)
    assert answer.status_code == 200
    assert refused(answer) == []
    page = answer.content.decode()
    assert "cust-" not in page.lower(), "a board names nobody"
    lanes = lanes_of(page)
    expected = {
        "identity": ({State.IDENTITY}, "k-late", "overdue"),
        "waiting": ({State.APPROVAL, State.WINDOW}, "k-soon", "left"),
        "work": ({State.QUEUED, State.RUNNING}, "k-soon", "9 days left"),
        "review": ({State.REVIEW}, "k-good", "left"),
        "deferred": ({State.DEFERRED}, "k-still", "legal hold, expected until 2099-05-01"),
        "failed": ({State.FAILED}, "k-late", "ambiguous subject"),
        "answered": ({State.COMPLETED}, "k-still", "answered in time"),
    }
    assert list(lanes) == list(expected)
    for name, (states, look, words) in expected.items():
        part = lanes[name]
        assert all(rows[state].reference in part for state in states), name
        assert look in part, name
        assert words in part, name
        assert f'<span class="k-badge">{len(states)}</span>' in part, name
    # The most urgent first, and a sign beside each colour.
    assert lanes["work"].index(rows[State.QUEUED].reference) < lanes["work"].index(rows[State.RUNNING].reference)
    assert lanes["work"].count("hourglass_bottom") == 1
    assert lanes["work"].count(">schedule<") == 1
    # What was answered is not given to anybody.
    assert f'value="{rows[State.COMPLETED].pk}"' not in page
    assert f'value="{rows[State.FAILED].pk}"' in page


def test_it_can_be_narrowed_and_says_what_it_does_not_know(sign_in: SignIn) -> None:
    client = sign_in(ADA)
    with ADA.here():
        rows = fill()
        with transaction():
            assigning.assign(request=rows[State.FAILED], to=ADA.email)
    refs = {state: row.reference for state, row in rows.items()}
    mine = {"failed": {refs[State.FAILED]}}
    cases = {
        "?kind=delete": {"waiting": {refs[State.APPROVAL], refs[State.WINDOW]}, "deferred": {refs[State.DEFERRED]}},
        "?regulation=ccpa": {"work": {refs[State.QUEUED], refs[State.RUNNING]}},
        "?assigned=me": mine,
        f"?assigned={ADA.actor.id}": mine,
        f"?assigned={uuid4()}": {},
        "?assigned=nobody&regulation=uk_gdpr": {"review": {refs[State.REVIEW]}},
        "?urgency=overdue": {"identity": {refs[State.IDENTITY]}, "failed": {refs[State.FAILED]}},
        "?urgency=soon": {"waiting": {refs[State.APPROVAL]}, "work": {refs[State.QUEUED]}},
        "?urgency=in_time": {
            "waiting": {refs[State.WINDOW]},
            "work": {refs[State.RUNNING]},
            "review": {refs[State.REVIEW]},
        },
        "?urgency=answered": {"deferred": {refs[State.DEFERRED]}, "answered": {refs[State.COMPLETED]}},
        "?urgency=paused": {},
        "?kind=delete&urgency=answered&assigned=me": {},
    }
    for address, expected in cases.items():
        assert shown(client, address) == expected, address
    for address in ("?kind=x", "?regulation=x", "?assigned=x", "?urgency=red", "?kind=%00delete%27"):
        page = client.get(BOARD + address).content.decode()
        assert "There is no such" in page, address
        assert "data-lane" not in page, address
    # The list has the same filters, and is where a full column leads.
    listed = client.get("/admin/dsar/dsarrequest/?urgency=soon&assigned=nobody&state__in=queued,running").content
    assert f"{rows[State.QUEUED].pk}" in listed.decode()
    assert f"{rows[State.RUNNING].pk}" not in listed.decode()


def test_it_is_for_those_who_may_see_requests_and_of_one_tenant(sign_in: SignIn) -> None:
    with ADA.here():
        fill()
    for person in (ED, AUD, VI):
        assert sign_in(person).get(BOARD).status_code == 403, person
    assert "No requests" in sign_in(MALLORY).get(BOARD).content.decode()
    assert sign_in(ADA).post(BOARD, {}).status_code == 405


def test_a_full_board_costs_what_an_empty_one_does(sign_in: SignIn) -> None:
    client = sign_in(ADA)
    client.get(BOARD)

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            page = client.get(BOARD).content.decode()
        assert page.count("data-card") <= board.CARDS * len(board.COLUMNS)
        return len(seen)

    before = queries()
    with ADA.here():
        fill()
        with transaction():
            row = DsarRequest.objects.get(state=State.QUEUED)
            same = {f.attname: getattr(row, f.attname) for f in DsarRequest._meta.fields if f.attname != "id"}
            # What is sealed belongs to one row alone.
            same |= {"subject_sealed": None, "pseudonym": "erased-1"}
            DsarRequest.objects.bulk_create(DsarRequest(**same) for _ in range(40))
    assert queries() == before
    lane = lanes_of(client.get(BOARD + "?regulation=ccpa").content.decode())["work"]
    assert '<span class="k-badge">42</span>' in lane
    more = re.search(r'href="([^"]+)">30 more in the list', lane)
    assert more is not None
    listed = client.get(more[1].replace("&amp;", "&")).content.decode()
    assert listed.count('name="_selected_action"') == 42


@pytest.mark.parametrize(
    ("law", "kind", "days"),
    [("gdpr", "export", 7), ("ccpa", "delete", 11), ("ccpa", "opt_out", 5), ("dpdpa", "grievance", 22)],
)
def test_soon_is_a_quarter_of_what_the_law_gives(law: str, kind: str, days: int) -> None:
    assert soon_days(law, kind) == days
    today = clock.at("12:00").date()
    for left, text, urgency in (
        (days + 1, f"{days + 1} days left", "in_time"),
        (days, f"{days} days left", "soon"),
        (1, "1 day left", "soon"),
        (0, "due today", "soon"),
        (-1, "1 day overdue", "overdue"),
    ):
        deadline = today + timedelta(days=left)
        stands = standing(regulation=law, request_type=kind, deadline=deadline, answered=None, today=today)
        assert (stands.text, stands.urgency, stands.days) == (text, urgency, left)
    late = standing(regulation=law, request_type=kind, deadline=today, answered=today + timedelta(days=2), today=today)
    assert (late.text, late.urgency) == ("answered 2 days late", "answered")
    assert standing(regulation=law, request_type=kind, deadline=None, answered=None, today=today).text == "paused"
