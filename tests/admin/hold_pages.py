"""Matters and holds of Ada's, and what the pages of the desk say."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.test import Client

from audit import services as log
from audit.models import AuditRecord
from compliance.holding import matters
from compliance.holding.matters import What
from compliance.models import Hold, Matter
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import PERMISSIONS, Permission, Role
from tests.admin.inline import refused
from tests.cast import ACME, ADA
from tests.compliance.holders import agree

DESK = "/admin/compliance/hold/"
PLACE = f"{DESK}place/"
MATTERS = "/admin/compliance/matter/"


def opened(name: str = "Case 7", **how: Any) -> Matter:
    with ADA.here(), transaction():
        return matters.open_matter(**{"name": name, "reason": "order", "actor": ADA.actor, "now": clock.now(), **how})


def placed(what: What | None = None, *, matter: Matter | None = None, **how: Any) -> Hold:
    with ADA.here(), transaction():
        given = {"matter": matter or opened(), "confirm": True, "actor": ADA.actor, "now": clock.now(), **how}
        return matters.place(what=what or What(data_class="decisions"), **given)


def released(hold: Hold) -> None:
    with ADA.here(), transaction():
        asked = matters.ask_release(hold=hold, reason="settled", actor=ADA.actor, now=clock.now())
    agree(str(asked.pk))


def refusals() -> list[tuple[str, str, str | None]]:
    log.drain(ACME)
    with ADA.here(), transaction():
        rows = AuditRecord.objects.filter(action="legal_hold.refused").order_by("seq")
        return list(rows.values_list("entity_type", "changes__reason", "changes__field"))


def said(answer: Any) -> str:
    """What a page says, without its tags."""
    assert refused(answer) == []
    text = re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", answer.content.decode(), flags=re.DOTALL)
    return " ".join(html.unescape(text).split())


def hidden(page: Any) -> dict[str, list[str]]:
    """What the second step sends back, as a browser would."""
    found: dict[str, list[str]] = {}
    for tag in re.findall(r'<input type="hidden"[^>]*>', page.content.decode()):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag, re.DOTALL)
        if name and name[1] != "csrfmiddlewaretoken":
            found.setdefault(name[1], []).append(html.unescape(value[1]) if value else "")
    return found


def filled(matter: Matter, **more: Any) -> dict[str, Any]:
    return {"matterId": str(matter.pk), **more}


def preview(client: Client, matter: Matter, **more: Any) -> Any:
    return client.post(PLACE, {"step": "preview", **filled(matter, **more)})


def place(client: Client, page: Any, **more: Any) -> Any:
    return client.post(PLACE, {**hidden(page), "step": "place", **more})


@contextmanager
def role_without(monkeypatch: pytest.MonkeyPatch, left_out: Permission) -> Iterator[None]:
    """Administrators who may not do everything: no role is like that yet, but the table may change."""
    with monkeypatch.context() as patch:
        patch.setitem(PERMISSIONS, Role.ADMIN, PERMISSIONS[Role.ADMIN] - {left_out})
        yield
