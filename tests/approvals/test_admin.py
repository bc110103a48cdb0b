"""The inbox in the admin: only what one may answer has buttons, and an answer is one call of the service."""

import json
import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from kaireon.approvals import services
from kaireon.approvals.models import State
from kaireon.approvals.registry import NotApplicable, Stage
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Permission, Role
from tests.admin.conftest import SignIn, sign_in  # noqa: F401
from tests.approvals.conftest import BEA, CY, again, ask, decide
from tests.cast import ACME, ADA, ED

PAGE = "/admin/approvals/approvalrequest"


def buttons(client: Any, row: Any) -> set[str]:
    page = client.get(f"{PAGE}/{row.pk}/change/").content.decode()
    return {verb for verb in ("approve", "reject", "cancel") if f"/{row.pk}/{verb}/" in page}


def test_each_sees_the_buttons_that_are_theirs(admins: str, verb: Any, sign_in: SignIn) -> None:  # noqa: F811
    verb()
    row = ask(payload={"n": 1, "text": "<b>ü</b>"}, now=clock.now())
    ada, bea = sign_in(ADA), sign_in(BEA)
    assert buttons(ada, row) == {"cancel"}
    assert buttons(bea, row) == {"approve", "reject"}
    assert str(row.pk) in bea.get(f"{PAGE}/?waiting=me").content.decode()
    assert str(row.pk) not in ada.get(f"{PAGE}/?waiting=me").content.decode()
    assert str(row.pk) in ada.get(f"{PAGE}/?waiting=mine").content.decode()
    page = bea.get(f"{PAGE}/{row.pk}/change/").content.decode()
    assert "&lt;b&gt;ü&lt;/b&gt;" in page
    assert sign_in(ED).get(f"{PAGE}/{row.pk}/change/").status_code == 403


def test_a_yes_is_given_with_a_comment_and_shown(admins: str, verb: Any, sign_in: SignIn) -> None:  # noqa: F811
    done = verb(then="Then a test is done.")
    row = ask(now=clock.now())
    bea = sign_in(BEA)
    assert "Ada asked for it. Then a test is done." in bea.get(f"{PAGE}/{row.pk}/approve/").content.decode()
    assert bea.post(f"{PAGE}/{row.pk}/approve/", {"comments": "<i>Fine</i> 好"}).status_code == 302
    assert (again(row).state, len(done)) == (State.APPROVED, 1)
    page = bea.get(f"{PAGE}/{row.pk}/change/").content.decode()
    assert "&lt;i&gt;Fine&lt;/i&gt; 好" in page
    assert buttons(bea, row) == set()
    assert b"is closed" in sign_in(CY).post(f"{PAGE}/{row.pk}/approve/", {}).content


def test_a_no_wants_a_reason(admins: str, verb: Any, sign_in: SignIn) -> None:  # noqa: F811
    verb()
    row = ask(now=clock.now())
    bea = sign_in(BEA)
    for comments in (" ", "n" * 2001):
        bea.post(f"{PAGE}/{row.pk}/reject/", {"comments": comments})
        assert again(row).state == State.PENDING
    assert bea.post(f"{PAGE}/{row.pk}/reject/", {"comments": "Not now."}).status_code == 302
    assert again(row).state == State.REJECTED


def test_own_requests_are_taken_back_and_not_answered(admins: str, verb: Any, sign_in: SignIn) -> None:  # noqa: F811
    verb()
    row = ask(now=clock.now())
    ada = sign_in(ADA)
    refused = ada.post(f"{PAGE}/{row.pk}/approve/", {"comments": "me"})
    assert b"your own request" in refused.content
    assert b"Only who asked" in sign_in(BEA).post(f"{PAGE}/{row.pk}/cancel/", {}).content
    assert again(row).state == State.PENDING
    assert ada.post(f"{PAGE}/{row.pk}/cancel/", {}).status_code == 302
    assert again(row).state == State.CANCELLED


def test_what_cannot_be_done_is_closed_and_said(admins: str, verb: Any, sign_in: SignIn) -> None:  # noqa: F811
    def apply(payload: Any) -> None:
        raise NotApplicable("gone_meanwhile")

    verb(apply=apply)
    row = ask(now=clock.now())
    answer = sign_in(BEA).post(f"{PAGE}/{row.pk}/approve/", {}, follow=True)
    assert b"gone meanwhile" in answer.content
    assert again(row).state == State.FAILED


def test_it_shows_how_far_it_is_and_what_is_ones_own_part(admins: str, verb: Any, sign_in: SignIn) -> None:  # noqa: F811
    verb(stages=(Stage(role=Role.ADMIN), Stage(permission=Permission.MANAGE_RETENTION)))
    now = clock.now()
    row = ask(now=now - timedelta(days=5))

    def page(person: Any) -> str:
        return sign_in(person).get(f"{PAGE}/{row.pk}/change/").content.decode()

    waiting = page(BEA)
    assert "<b>0 of 1 agreed</b> with the role Admin (now)" in waiting
    assert "<b>0 of 1 agreed</b> of those who may manage retention (after that)" in waiting
    assert "It waits for your answer" in waiting
    assert "1\xa0day left" in waiting
    assert "somebody else must answer it" in page(ADA)
    decide(row, BEA, now=now)
    assert "<b>1 of 1 agreed</b> with the role Admin (done)" in page(CY)
    assert "You have answered this request before" in page(BEA)
    decide(row, CY, now=now)
    done = page(ADA)
    assert done.count("<b>1 of 1 agreed</b>") == done.count("(done)") == 2
    assert "the request is closed" in done
    late = ask(now=now - timedelta(days=8))
    page_of_late = sign_in(BEA).get(f"{PAGE}/{late.pk}/change/").content.decode()
    assert "(passed)" in page_of_late
    assert "it must be asked for again" in page_of_late
    assert buttons(sign_in(BEA), late) == set()


def test_the_command_shows_and_changes_what_a_tenant_demands(db: str) -> None:
    demanded = json.loads(command("--json"))
    assert demanded == dict.fromkeys(
        ("dsar.erase", "role.grant", "member.remove", "retention.purge", "retention_config.release_hold"), False
    )
    assert "a second person" in command("--demand", "role.grant")
    with ADA.here(), transaction():
        assert services.needs_second_person("role.grant")
    assert "a second person" not in command("--waive", "role.grant", "member.remove")
    # What is never done by one alone is shown, and not to be waived.
    assert re.search(r"audit_log\.prune +always two", command())
    with pytest.raises(CommandError, match="invalid choice"):
        command("--waive", "audit_log.prune")
    with pytest.raises(CommandError, match="at once"):
        command("--demand", "role.grant", "--waive", "role.grant")
    with pytest.raises(CommandError, match="invalid choice"):
        command("--demand", "nonsense")


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("second_person", "--tenant", ACME, *arguments, stdout=out, no_color=True)
    return out.getvalue().strip()
