"""An operator gives somebody their first password, or a new one."""

from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.test import Client

import audit
from kaireon.lib import clock
from kaireon.tenancy import members
from kaireon.tenancy.context import PLATFORM, platform_scope, scope, transaction
from kaireon.tenancy.models import User
from kaireon.tenancy.roles import Role
from tests.cast import ACME, SETUP

NEW = "new@acme.example"
PHRASE = "a long phrase nobody guesses"


@pytest.fixture
def granted(db: str) -> str:
    with scope(tenant_id=ACME, actor=SETUP), transaction():
        members.grant_role(email=NEW, role=Role.VIEWER)
    return NEW


def set_password(email: str, typed: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("sys.stdin", StringIO(typed))
    out = StringIO()
    call_command("set_password", email, stdout=out)
    return out.getvalue()


def sign_in(password: str) -> int:
    return Client().post("/admin/login/", {"username": NEW, "password": password}).status_code


def test_who_was_granted_a_role_gets_in_with_it(
    granted: str, superuser_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sign_in("") == sign_in(PHRASE) == 200
    assert "is set" in set_password(f" {NEW.upper()}", f"{PHRASE}\n", monkeypatch)
    assert sign_in(PHRASE) == 302
    audit.services.drain(PLATFORM)
    with psycopg.connect(superuser_url) as connection:
        sql = "SELECT user_name, r::text FROM audit_record r WHERE entity_type = 'User' ORDER BY seq DESC LIMIT 1"
        [(who, record)] = connection.execute(sql).fetchall()
    assert who == "command:set_password"
    assert PHRASE not in record


def test_it_unlocks_the_account(granted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with platform_scope(actor=SETUP), transaction():
        User.objects.filter(email=NEW).update(failed_logins=5, locked_until=clock.now().replace(year=2999))
    set_password(NEW, PHRASE, monkeypatch)
    assert sign_in(PHRASE) == 302


@pytest.mark.parametrize(
    ("email", "typed", "words"),
    [
        ("nobody@acme.example", PHRASE, "No account"),
        (NEW, "", "too short"),
        (NEW, "short", "too short"),
        (NEW, "1234567890123456", "entirely numeric"),
    ],
)
def test_it_refuses(granted: str, email: str, typed: str, words: str, monkeypatch: Any) -> None:
    with pytest.raises(CommandError, match=words):
        set_password(email, typed, monkeypatch)
    assert sign_in(typed) == 200
