"""What changes no row and is a record all the same: each kind of event, done as people and machines do it."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from audit import reading, services
from cron import runner
from cron.models import Trigger
from customers.models import Customer
from kaireon.lib import clock
from kaireon.tenancy.commands import TenantCommand
from kaireon.tenancy.context import PLATFORM, Actor, platform_scope, scope, transaction
from tests.admin.conftest import SignIn, sign_in  # noqa: F401
from tests.audit.log import records
from tests.cast import ACME, ADA, AUD, KEYS, PASSWORD, VI

LIST = "/admin/customers/customer/"


def ask(nick: str, path: str) -> None:
    Client().get(path, headers={"authorization": f"Bearer {KEYS[nick]}"})


def fail_to_sign_in() -> None:
    Client().post("/admin/login/", {"username": ADA.email, "password": "wrong"})


def sign_in_over_http() -> None:
    given = {"email": ADA.email, "password": PASSWORD}
    Client().post("/api/v1/auth/login", given, content_type="application/json")


# What is done, and the records that it brings: the log they are in, their actions, and who did it.
EVENTS: dict[str, tuple[Callable[[], object], str, list[str], str]] = {
    "a sign-in": (sign_in_over_http, ACME, ["auth.login"], "user"),
    "a failed sign-in": (fail_to_sign_in, PLATFORM, ["auth.login_failed"], "system"),
    "a refusal": (lambda: ask("vi", "/api/v1/audit-logs"), ACME, ["access.refused"], "api_key"),
    "an export": (lambda: ask("aud", "/api/v1/audit-export"), ACME, ["audit_log.export"], "api_key"),
    "a bundle": (
        lambda: ask("aud", "/api/v1/audit-logs/bundle"),
        ACME,
        ["audit_log.export"],
        "api_key",
    ),
    "a read": (lambda: ask("aud", "/api/v1/audit-logs"), ACME, ["audit_log.read"], "api_key"),
    "a verification": (
        lambda: ask("aud", "/api/v1/audit-logs/verify"),
        ACME,
        ["audit_log.verify"],
        "api_key",
    ),
    "a job": (lambda: runner.run_job("approvals-expire", trigger=Trigger.COMMAND), PLATFORM, ["job.run"], "job"),
    "a command": (
        lambda: call_command("second_person", "--tenant", ACME, stdout=StringIO()),
        ACME,
        ["command.run"],
        "system",
    ),
}


def log(name: str, after: int) -> list[dict[str, Any]]:
    services.drain(name)
    who = Actor.job("test")
    here = platform_scope(actor=who) if name == PLATFORM else scope(tenant_id=name, actor=who)
    with here, transaction():
        return list(reading.records(name, after=after))


@pytest.mark.parametrize("event", EVENTS)
def test_each_event_is_a_record(event: str, db: str) -> None:
    do, where, actions, actor_type = EVENTS[event]
    before = len(log(where, 0))
    do()
    after = log(where, before)
    found = [r for r in after if r["action"] in actions]
    assert [r["action"] for r in found] == actions, [r["action"] for r in after]
    assert {r["actorType"] for r in found} == {actor_type}
    assert all(r["userName"] for r in after)


@pytest.fixture
def nils(db: str) -> Customer:
    with ADA.here(), transaction():
        return Customer.objects.create(
            customer_id="N-1", name="Nils", email="n@x.example", last_activity_at=clock.now()
        )


def test_a_page_that_shows_people_is_a_record_of_them(nils: Customer, sign_in: SignIn) -> None:  # noqa: F811
    client = sign_in(ADA)
    assert "n@x.example" in client.get(f"{LIST}{nils.pk}/change/").content.decode()
    with ADA.here(), transaction():
        nora = Customer.objects.create(customer_id="N-2", name="Nora", last_activity_at=clock.now())
    client.get(LIST)
    one, some = records(ACME, action="personal.view")
    assert (one.entity_type, one.entity_id, one.user_name) == ("Customer", str(nils.pk), "Ada")
    assert {"customer_id", "name", "email", "phone"} <= set((one.changes or {})["fields"])
    assert some.entity_id == "*"
    assert {"customer_id", "name", "email"} <= set((some.changes or {})["fields"])
    assert set((some.changes or {})["ids"]) == {str(nils.pk), str(nora.pk)}
    assert "n@x.example" not in str([r.changes for r in (one, some)])


def test_a_page_that_masks_people_is_no_record(nils: Customer, sign_in: SignIn) -> None:  # noqa: F811
    client = sign_in(VI)
    assert "n@x.example" not in client.get(f"{LIST}{nils.pk}/change/").content.decode()
    client.get(LIST)
    assert records(ACME, action="personal.view") == []


def test_a_page_that_is_refused_or_not_there_shows_nobody(nils: Customer, sign_in: SignIn) -> None:  # noqa: F811
    assert sign_in(AUD).get(f"{LIST}{nils.pk}/change/").status_code == 403
    assert sign_in(ADA).get(f"{LIST}00000000-0000-0000-0000-000000000000/change/").status_code == 302
    assert records(ACME, action="personal.view") == []


def test_a_command_is_recorded_before_it_starts(db: str) -> None:
    """What only reports, or breaks, leaves no other trace."""
    with pytest.raises(Exception, match="never"):
        _Broken().handle(tenant=ACME, dry_run=True)
    [record] = records(ACME, action="command.run")
    assert (record.entity_id, record.user_name, record.changes) == (
        "test_events",
        "command:test_events",
        {"dryRun": True},
    )


class _Broken(TenantCommand):
    def handle_tenant(self, **options: object) -> None:
        raise RuntimeError("it never does")
