"""Signing in: who may, who is refused and how, and what locks an account or shuts out an address."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import OperationalError, connection
from django.test import Client

from audit import services
from kaireon.lib import clock
from kaireon.tenancy import api as tenancy
from kaireon.tenancy import signals
from kaireon.tenancy.context import platform_scope, transaction
from kaireon.tenancy.models import Membership, User
from kaireon.tenancy.roles import Role
from tests.caller import Caller, error_of, me, sign_in
from tests.cast import ACME, ADA, GLOBEX, MALLORY, PASSWORD, SETUP, VI
from tests.race import at_once
from tests.tenancy.conftest import deactivate

pytestmark = pytest.mark.usefixtures("db")


class TestSignIn:
    def test_it_answers_tokens_for_the_members_tenant(self) -> None:
        response = sign_in(ADA.email)
        assert response.status_code == 200
        answer = response.json()
        assert answer["tokenType"] == "Bearer"
        assert answer["expiresIn"] == 900
        assert answer["tenantId"] == ACME
        assert response["Cache-Control"] == "no-store"
        assert me(answer["accessToken"]).json() | {"permissions": []} == {
            "id": ADA.actor.id,
            "name": "Ada",
            "type": "user",
            "tenantId": ACME,
            "role": "admin",
            "permissions": [],
            "tenants": [{"id": ACME, "name": "Acme", "role": "admin"}],
        }

    def test_it_does_not_mind_the_case_of_an_address(self) -> None:
        assert sign_in("  ADA@Acme.Example ").status_code == 200

    def test_it_sets_cookies_scripts_cannot_read(self) -> None:
        cookies = sign_in(ADA.email).cookies
        assert cookies["kaireon_access"]["httponly"]
        assert cookies["kaireon_access"]["samesite"] == "Lax"
        assert cookies["kaireon_refresh"]["httponly"]
        assert cookies["kaireon_refresh"]["samesite"] == "Strict"
        assert cookies["kaireon_refresh"]["path"] == "/api/v1/auth/"

    def test_it_brings_an_old_hash_up_to_date(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """After an upgrade the hasher wants more iterations than it did when the password was set."""
        before = ADA.user.password
        monkeypatch.setattr(PBKDF2PasswordHasher, "iterations", PBKDF2PasswordHasher.iterations + 1)
        assert sign_in(ADA.email).status_code == 200
        assert ADA.user.password != before
        assert sign_in(ADA.email).status_code == 200

    def test_it_marks_cookies_secure_where_tls_is(self, settings: Any) -> None:
        settings.SESSION_COOKIE_SECURE = True
        cookies = sign_in(ADA.email).cookies
        assert cookies["kaireon_access"]["secure"]
        assert cookies["kaireon_refresh"]["secure"]

    def test_it_says_the_same_to_everybody_it_refuses(self) -> None:
        deactivate(VI)
        answers = {
            json.dumps(error_of(response) | {"requestId": ""})
            for response in (
                sign_in(ADA.email, "wrong"),
                sign_in("nobody@acme.example"),
                sign_in(VI.email),
            )
        }
        assert len(answers) == 1
        assert json.loads(answers.pop())["code"] == "login_failed"

    def test_it_opens_the_tenant_that_was_asked_for(self) -> None:
        with MALLORY.here(), transaction():
            Membership.objects.create(user=ADA.user, role=Role.VIEWER)
        assert sign_in(ADA.email).json()["tenantId"] == ACME
        assert sign_in(ADA.email, tenantId=GLOBEX).json()["tenantId"] == GLOBEX

    def test_it_opens_no_foreign_tenant(self) -> None:
        for tenant in (GLOBEX, "nowhere", "_platform", "ACME", "acme ' OR 1=1"):
            assert error_of(sign_in(ADA.email, tenantId=tenant))["code"] == "unknown_tenant"

    def test_it_refuses_somebody_without_any_tenant(self) -> None:
        with ADA.here(), transaction():
            Membership.objects.filter(user=VI.user).delete()
        assert sign_in(VI.email).status_code == 403

    def test_it_is_recorded(self) -> None:
        from audit import services
        from audit.models import AuditRecord

        Caller().post("/auth/login", {"email": ADA.email, "password": PASSWORD}, x_request_id="req-in")
        services.drain(ACME)
        with ADA.here(), transaction():
            [record] = AuditRecord.objects.filter(request_id="req-in")
            assert (record.action, record.user_id) == ("auth.login", ADA.actor.id)

    def test_a_failed_one_is_recorded_without_the_address(self) -> None:
        Caller().post("/auth/login", {"email": "someone@else.example", "password": "x"}, x_request_id="req-no")
        rows = _platform_records("req-no")
        assert [(r["action"], r["changes"]) for r in rows] == [("auth.login_failed", {"reason": "unknown_user"})]
        assert "someone" not in json.dumps(rows, default=str)


class TestAccountLock:
    def test_it_locks_after_five_failures_in_a_row(self) -> None:
        for _ in range(5):
            sign_in(ADA.email, "wrong")
        assert sign_in(ADA.email).status_code == 401
        assert User.objects.get(email=ADA.email).locked_until is not None

    def test_it_opens_after_half_an_hour(self) -> None:
        for _ in range(5):
            sign_in(ADA.email, "wrong")
        User.objects.filter(email=ADA.email).update(locked_until=clock.now() - timedelta(seconds=1))
        assert sign_in(ADA.email).status_code == 200
        assert User.objects.get(email=ADA.email).locked_until is None

    def test_a_success_in_between_starts_the_count_again(self) -> None:
        for _ in range(2):
            for _ in range(4):
                sign_in(ADA.email, "wrong")
            assert sign_in(ADA.email).status_code == 200

    def test_it_locks_nobody_else(self) -> None:
        for _ in range(5):
            sign_in(ADA.email, "wrong")
        assert sign_in(MALLORY.email).status_code == 200

    def test_it_leaves_an_open_session_alone(self) -> None:
        token = sign_in(ADA.email).json()["accessToken"]
        for _ in range(5):
            sign_in(ADA.email, "wrong")
        assert me(token).status_code == 200


class TestAddressLimit:
    def test_it_takes_ten_failures_a_minute_from_one_address(self) -> None:
        for number in range(10):
            assert sign_in(f"nobody{number}@acme.example").status_code == 401
        response = sign_in(ADA.email)
        assert error_of(response)["code"] == "rate_limited"
        assert response.status_code == 429
        assert 1 <= int(response["Retry-After"]) <= 60

    def test_it_does_not_count_successes(self) -> None:
        for _ in range(12):
            assert sign_in(ADA.email).status_code == 200

    @pytest.mark.parametrize(
        ("path", "body", "let_in"),
        [
            ("/api/v1/auth/login", {"email": "nobody@acme.example", "password": "x"}, 401),
            ("/admin/login/", {"username": "nobody@acme.example", "password": "x"}, 200),
        ],
    )
    def test_of_many_at_once_ten_fail_and_the_rest_is_not_tried(
        self, path: str, body: dict[str, str], let_in: int
    ) -> None:
        tried = []

        def note(**_: Any) -> None:
            tried.append(1)

        signals.login_failed.connect(note)

        def attempt() -> int:
            form = {"content_type": "application/json"} if path.startswith("/api") else {}
            return Client().post(path, body, **form).status_code

        assert sorted(at_once(*[attempt] * 16)) == sorted([let_in] * 10 + [429] * 6)
        # Who is refused has not learned whether the password was right.
        assert len(tried) == 10

    def test_an_attempt_that_could_not_be_judged_does_not_count(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def away(*_: Any, **__: Any) -> None:
            raise OperationalError

        with monkeypatch.context() as patched:
            patched.setattr(tenancy, "authenticate", away)
            for _ in range(12):
                assert sign_in(ADA.email).status_code == 503
        assert sign_in(ADA.email).status_code == 200

    def test_it_believes_no_forwarded_address_unless_a_proxy_is_trusted(self, settings: Any) -> None:
        body = {"email": "nobody@acme.example", "password": "x"}
        for number in range(10):
            Caller().post("/auth/login", body, x_forwarded_for=f"203.0.113.{number}")
        assert Caller().post("/auth/login", body, x_forwarded_for="203.0.113.99").status_code == 429

        settings.TRUSTED_PROXIES = 1
        assert Caller().post("/auth/login", body, x_forwarded_for="203.0.113.99").status_code == 401
        # The client may write what it likes before what the proxy appends.
        for number in range(9):
            Caller().post("/auth/login", body, x_forwarded_for=f"10.0.0.{number}, 203.0.113.99")
        assert Caller().post("/auth/login", body, x_forwarded_for="10.1.1.1, 203.0.113.99").status_code == 429


def _platform_records(request_id: str) -> list[dict[str, Any]]:
    services.drain("_platform")
    with platform_scope(actor=SETUP), transaction(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_jsonb(r) FROM audit_record r WHERE request_id = %s ORDER BY seq",
            [request_id],
        )
        return [row[0] if isinstance(row[0], dict) else json.loads(row[0]) for row in cursor.fetchall()]
