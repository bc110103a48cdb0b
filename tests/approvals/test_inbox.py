"""The inbox: what waits for one's decision, oldest first, counted in the menu; one's own is shown and not decidable."""

import re
from datetime import timedelta
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from kaireon.approvals import registry, services
from kaireon.approvals.registry import Stage
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Permission, Role
from tests.admin.conftest import SignIn, sign_in  # noqa: F401
from tests.admin.inline import refused
from tests.approvals.conftest import BEA, CY, ask, decide
from tests.cast import ADA, AUD, ED, MALLORY, VI

INBOX = "/admin/approvals/approvalrequest/inbox/"


def shown(client: Client) -> tuple[list[str], list[str], int]:
    """What waits, what one asked for, and the number in the menu."""
    answer = client.get(INBOX)
    assert answer.status_code == 200
    assert refused(answer) == []
    page = answer.content.decode()
    waits, _, own = page.partition('id="own-title"')
    menu = re.search(r'For your decision <span class="k-badge">(\d+)<', page)
    return *(re.findall(r'data-approval="([^"]+)"', part) for part in (waits, own)), int(menu[1]) if menu else 0


def test_each_finds_what_waits_for_them_the_oldest_first(admins: str, verb: Any, sign_in: SignIn) -> None:  # noqa: F811
    verb(stages=(Stage(role=Role.ADMIN, yes=2), Stage(permission=Permission.MANAGE_RETENTION)))
    now = clock.now()
    ada, bea, cy = sign_in(ADA), sign_in(BEA), sign_in(CY)
    assert shown(ada) == ([], [], 0)
    assert "Nothing waits for you" in ada.get(INBOX).content.decode()
    newer, older = ask(BEA, now=now - timedelta(hours=1)), ask(BEA, now=now - timedelta(days=2))
    over = ask(BEA, now=now - registry.VALID_FOR - timedelta(minutes=1))
    oldest_first = [str(older.pk), str(newer.pk)]
    assert shown(ada) == shown(cy) == (oldest_first, [], 2)
    assert shown(bea) == ([], oldest_first, 0)
    assert str(over.pk) not in ada.get(INBOX).content.decode()
    own = bea.get(INBOX).content.decode()
    assert f"/{older.pk}/approve/" not in own
    assert f"/{older.pk}/cancel/" in own
    # Answered is answered, whatever others have still to say; and every page of the admin counts.
    decide(older, ADA, now=now)
    assert shown(ada) == ([str(newer.pk)], [], 1)
    assert shown(cy)[0] == oldest_first
    assert 'For your decision <span class="k-badge">2<' in cy.get("/admin/").content.decode()
    with BEA.here(), transaction():
        services.cancel(request_id=newer.pk, actor=BEA.actor, now=now)
    assert shown(ada) == ([], [], 0)


def test_it_costs_the_same_however_full_and_is_for_those_who_decide(admins: str, verb: Any, sign_in: SignIn) -> None:  # noqa: F811
    verb()
    bea = sign_in(BEA)
    bea.get(INBOX)

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            bea.get(INBOX)
        return len(seen)

    before = queries()
    for _ in range(5):
        ask(ADA, now=clock.now())
    assert queries() == before
    assert len(shown(bea)[0]) == 5
    for person in (ED, AUD, VI):
        client = sign_in(person)
        assert client.get(INBOX).status_code == 403, person
        assert "For your decision" not in client.get("/admin/").content.decode(), person
    assert shown(sign_in(MALLORY)) == ([], [], 0)
    assert bea.post(INBOX, {}).status_code == 405
