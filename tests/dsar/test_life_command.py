"""The moves of a request's life from the command line."""

import json
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from customers import models as m
from dsar.models import DsarRequest
from tests.dsar.conftest import again, file


def run(move: str, row: DsarRequest, tenant: str = "acme", **given: Any) -> Any:
    return json.loads(call_command("dsar_move", move, str(row.pk), tenant=tenant, json=True, **given))


def test_it_moves_a_request_to_its_end_and_tells_how(ada: None) -> None:
    filed = file("rectification", identity_by="evidence")
    row = filed.request
    assert run("vouch", row, reason="Passport", evidence="identity_document")["state"] == "queued"
    assert run("assign", row, to="ada@acme.example")["state"] == "review"
    ended = run("complete", row, resolution="Done", outcome="partially_completed")
    assert (ended["status"], ended["outcome"]) == ("completed", "partially_completed")
    told = [event["action"] for event in run("timeline", row)]
    assert told == ["dsar.create", "dsar.identity.proved", "dsar.assign", "dsar.complete"]
    assert again(filed).notes["resolution"] == "Done"


def test_a_dry_run_says_what_would_be_and_changes_nothing(jane: m.Customer) -> None:
    filed = file("export")
    for move, given in (("withdraw", {}), ("reject", {"ground": "excessive", "reason": "x"})):
        assert run(move, filed.request, dry_run=True, **given)["status"] == "completed"
        assert again(filed).status == "queued"
    assert run("withdraw", filed.request)["outcome"] == "withdrawn"


@pytest.mark.parametrize(
    ("move", "given", "words"),
    [
        ("vouch", {}, "needs --reason"),
        ("vouch", {"reason": "x"}, "does not wait"),
        ("complete", {"resolution": " "}, "needs --resolution"),
        ("complete", {"resolution": "x" * 10_000}, "needs --resolution"),
        ("complete", {"resolution": "x"}, "A worker answers"),
        ("reject", {"ground": "legal_obligation", "reason": "x"}, "--ground is none"),
        ("assign", {"to": "vi@acme.example"}, "--to is no member"),
    ],
)
def test_what_cannot_be_done_is_said(jane: m.Customer, move: str, given: Any, words: str) -> None:
    filed = file("export")
    with pytest.raises(CommandError, match=words):
        run(move, filed.request, **given)
    assert again(filed).status == "queued"


def test_another_tenants_request_is_not_there(jane: m.Customer) -> None:
    filed = file("export")
    for tenant, row in (("globex", filed.request), ("acme", DsarRequest(id=uuid4()))):
        with pytest.raises(CommandError, match="no such request"):
            run("withdraw", row, tenant=tenant)
    assert again(filed).status == "queued"


def test_demands_are_shown_and_changed(ada: None) -> None:
    def demands(**given: Any) -> Any:
        out = StringIO()
        call_command("dsar_demand", tenant="acme", json=True, stdout=out, **given)
        return json.loads(out.getvalue())

    assert demands() == {"identity": False, "review": False}
    assert demands(demand=["identity"]) == {"identity": True, "review": False}
    assert demands(waive=["identity"], demand=["review"]) == {"identity": False, "review": True}
    with pytest.raises(CommandError, match="at once"):
        demands(waive=["review"], demand=["review"])
