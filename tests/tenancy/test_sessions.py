"""Sign-in, sessions and their ends: 15 minutes of access, a refresh token that works once, cookies that need CSRF."""

import json
import threading
from base64 import urlsafe_b64encode
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import OperationalError, connection
from django.test import Client

from kaireon.lib import clock
from kaireon.tenancy import api as tenancy
from kaireon.tenancy import sessions, signals
from kaireon.tenancy.context import platform_scope, transaction
from kaireon.tenancy.models import Membership, RefreshToken, Tenant, User
from kaireon.tenancy.roles import Role
from tests.caller import Caller, error_of, sign_in, with_session
from tests.cast import ACME, ADA, GLOBEX, MALLORY, PASSWORD, SETUP, VI, Person

pytestmark = pytest.mark.usefixtures("db")


def me(token: str, **headers: str) -> Any:
    return Caller().get("/auth/me", authorization=f"Bearer {token}", **headers)


def refresh(token: str) -> Any:
    return Caller().post("/auth/refresh", {"refreshToken": token})


def deactivate(person: Person) -> None:
    with platform_scope(actor=SETUP), transaction():
        User.objects.filter(email=person.email).update(is_active=False)


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
        start, statuses, tried = threading.Barrier(16), [], []

        def note(**_: Any) -> None:
            tried.append(1)

        signals.login_failed.connect(note)

        def race() -> None:
            start.wait()
            try:
                form = {"content_type": "application/json"} if path.startswith("/api") else {}
                statuses.append(Client().post(path, body, **form).status_code)
            finally:
                connection.close()

        threads = [threading.Thread(target=race) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == sorted([let_in] * 10 + [429] * 6)
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


class TestAccessToken:
    def claims(self, **changed: Any) -> dict[str, Any]:
        token = sign_in(ADA.email).json()["accessToken"]
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
        return claims | changed

    def test_it_works_as_signed(self) -> None:
        assert me(jwt.encode(self.claims(), settings.SECRET_KEY, "HS256")).status_code == 200

    def test_it_refuses_what_we_did_not_sign(self) -> None:
        claims = self.claims()
        whole = jwt.encode(claims, settings.SECRET_KEY, "HS256")
        header, payload, signature = whole.split(".")
        none_header = urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
        other = jwt.encode(claims | {"tenant": GLOBEX}, "another-key-of-more-than-thirty-two-bytes", "HS256")
        tampered = {
            "alg none": f"{none_header}.{payload}.",
            "alg none, signature kept": f"{none_header}.{payload}.{signature}",
            "another key": other,
            "another algorithm": jwt.encode(claims, settings.SECRET_KEY, "HS512"),
            "another payload": f"{header}.{other.split('.')[1]}.{signature}",
            "no signature": f"{header}.{payload}.",
            "half": whole[: len(whole) // 2],
            "rubbish": "rubbish",
            "a lone surrogate": "\udcff.\udcff.\udcff".encode("utf-8", "surrogateescape").decode("latin-1"),
        }
        for name, token in tampered.items():
            response = me(token)
            assert response.status_code == 401, name
            assert response["WWW-Authenticate"].startswith("Bearer"), name
            error_of(response)

    def test_it_refuses_claims_that_do_not_fit(self) -> None:
        now = int(clock.now().timestamp())
        for changed in (
            {"exp": now - 1},
            {"iss": "somebody-else"},
            {"token_type": "refresh"},
            {"user_id": "00000000-0000-0000-0000-000000000000"},
            {"user_id": "1"},
            {"user_id": None},
        ):
            response = me(jwt.encode(self.claims(**changed), settings.SECRET_KEY, "HS256"))
            assert response.status_code == 401, changed

    def test_it_needs_its_expiry_and_its_user(self) -> None:
        for missing in ("exp", "user_id", "token_type"):
            claims = self.claims()
            del claims[missing]
            assert me(jwt.encode(claims, settings.SECRET_KEY, "HS256")).status_code == 401, missing

    def test_its_tenant_counts_only_with_a_membership(self) -> None:
        token = jwt.encode(self.claims(tenant=GLOBEX), settings.SECRET_KEY, "HS256")
        assert error_of(me(token))["code"] == "unknown_tenant"

    def test_it_ends_with_the_account(self) -> None:
        token = sign_in(VI.email).json()["accessToken"]
        deactivate(VI)
        assert me(token).status_code == 401

    def test_it_ends_with_the_membership(self) -> None:
        token = sign_in(VI.email).json()["accessToken"]
        with ADA.here(), transaction():
            Membership.objects.filter(user=VI.user).delete()
        assert me(token).status_code == 403

    def test_it_follows_a_change_of_role_at_once(self) -> None:
        caller = with_session(ADA.email)
        assert caller.get("/api-keys").status_code == 200
        with ADA.here(), transaction():
            Membership.objects.filter(user=ADA.user).update(role=Role.VIEWER)
        assert caller.get("/api-keys").status_code == 403

    def test_it_ends_with_the_tenant(self) -> None:
        token = sign_in(VI.email).json()["accessToken"]
        with ADA.here(), transaction():
            Tenant.objects.update(is_active=False)
        assert me(token).status_code == 403


class TestTenantHeader:
    def test_it_chooses_among_the_members_tenants(self) -> None:
        with MALLORY.here(), transaction():
            Membership.objects.create(user=ADA.user, role=Role.VIEWER)
        token = sign_in(ADA.email).json()["accessToken"]
        answer = me(token, x_tenant_id=GLOBEX).json()
        assert (answer["tenantId"], answer["role"]) == (GLOBEX, "viewer")
        assert me(token).json()["tenantId"] == ACME

    def test_it_opens_no_foreign_tenant(self) -> None:
        token = sign_in(ADA.email).json()["accessToken"]
        for tenant in (GLOBEX, "nowhere", "_platform", "Acme", "acme,globex", "%", "acme\x00"):
            assert error_of(me(token, x_tenant_id=tenant))["code"] == "unknown_tenant"

    def test_in_single_tenant_mode_it_is_always_default(self, settings: Any) -> None:
        token = sign_in(ADA.email).json()["accessToken"]
        settings.SINGLE_TENANT_MODE = True
        for headers in ({}, {"x_tenant_id": ACME}, {"x_tenant_id": "default"}):
            assert me(token, **headers).status_code == 403
        assert sign_in(ADA.email).status_code == 403

        _make_default_tenant()
        assert sign_in(ADA.email).json()["tenantId"] == "default"
        for headers in ({}, {"x_tenant_id": ACME}, {"x_tenant_id": "nowhere"}):
            assert me(token, **headers).json()["tenantId"] == "default"


class TestRefresh:
    def test_it_trades_a_token_for_the_next_pair(self) -> None:
        first = sign_in(ADA.email).json()
        second = refresh(first["refreshToken"])
        assert second.status_code == 200
        assert second.json()["refreshToken"] != first["refreshToken"]
        assert me(second.json()["accessToken"]).status_code == 200

    def test_a_token_used_twice_ends_the_family(self) -> None:
        first = sign_in(ADA.email).json()["refreshToken"]
        second = refresh(first).json()["refreshToken"]
        third = refresh(second).json()["refreshToken"]
        assert refresh(first).status_code == 401
        # The thief and the owner both have to sign in again.
        assert refresh(third).status_code == 401

    def test_it_ends_no_other_family(self) -> None:
        stolen = sign_in(ADA.email).json()["refreshToken"]
        other = sign_in(ADA.email).json()["refreshToken"]
        refresh(stolen)
        assert refresh(stolen).status_code == 401
        assert refresh(other).status_code == 200

    def test_of_two_at_once_exactly_one_counts(self) -> None:
        token = sign_in(ADA.email).json()["refreshToken"]
        start, outcomes = threading.Barrier(2), []

        def race() -> None:
            start.wait()
            try:
                outcomes.append(sessions.refresh_session(token=token))
            except sessions.RefreshRefused as error:
                outcomes.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=race) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(isinstance(outcome, sessions.Session) for outcome in outcomes) == 1
        with ADA.here(), transaction():
            assert RefreshToken.objects.count() == 2

    def test_it_expires(self) -> None:
        token = sign_in(ADA.email).json()["refreshToken"]
        with ADA.here(), transaction():
            RefreshToken.objects.update(expires_at=clock.now() - timedelta(seconds=1))
        assert refresh(token).status_code == 401

    def test_it_refuses_what_we_never_issued(self) -> None:
        for token in ("unknown", "", "x" * 129, "krn_ada_the-key-of-ada"):
            response = refresh(token)
            assert response.status_code in (400, 401)
            error_of(response)

    def test_it_ends_with_account_membership_and_tenant(self) -> None:
        def leave() -> None:
            with MALLORY.here(), transaction():
                Membership.objects.all().delete()

        def close() -> None:
            with ADA.here(), transaction():
                Tenant.objects.update(is_active=False)

        for person, end in ((VI, lambda: deactivate(VI)), (MALLORY, leave), (ADA, close)):
            token = sign_in(person.email).json()["refreshToken"]
            end()
            assert refresh(token).status_code == 401

    def test_it_is_kept_as_a_hash_only(self, superuser_url: str) -> None:
        import psycopg

        token = sign_in(ADA.email).json()["refreshToken"]
        with psycopg.connect(superuser_url) as root:
            dump = root.execute("SELECT string_agg(r::text, ' ') FROM tenancy_refreshtoken r").fetchone()
        assert dump
        assert token not in dump[0]


class TestSignOut:
    def test_it_ends_the_family(self) -> None:
        token = sign_in(ADA.email).json()["refreshToken"]
        response = Caller().post("/auth/logout", {"refreshToken": token})
        assert response.status_code == 204
        assert refresh(token).status_code == 401

    def test_twice_is_no_error(self) -> None:
        token = sign_in(ADA.email).json()["refreshToken"]
        for _ in range(2):
            assert Caller().post("/auth/logout", {"refreshToken": token}).status_code == 204

    def test_it_takes_the_cookies_back(self) -> None:
        token = sign_in(ADA.email).json()["refreshToken"]
        cookies = Caller().post("/auth/logout", {"refreshToken": token}).cookies
        assert cookies["kaireon_access"].value == ""
        assert cookies["kaireon_refresh"].value == ""
        assert cookies["kaireon_refresh"]["path"] == "/api/v1/auth/"


class TestCookies:
    def browser(self) -> tuple[Caller, str]:
        """A browser after sign-in, and its CSRF token."""
        caller = Caller()
        caller.post("/auth/login", {"email": ADA.email, "password": PASSWORD})
        return caller, caller.client.cookies["csrftoken"].value

    def test_it_reads_with_the_cookie_alone(self) -> None:
        caller, _ = self.browser()
        assert caller.get("/auth/me").json()["name"] == "Ada"

    def test_it_writes_with_the_csrf_token_only(self) -> None:
        caller, csrf = self.browser()
        body = {"name": "from the browser", "role": "viewer"}
        assert error_of(caller.post("/api-keys", body))["code"] == "csrf_failed"
        assert error_of(caller.post("/api-keys", body, x_csrftoken="0" * 64))["code"] == "csrf_failed"
        assert caller.post("/api-keys", body, x_csrftoken=csrf).status_code == 201

    def test_it_refreshes_and_signs_out_with_the_csrf_token_only(self) -> None:
        caller, csrf = self.browser()
        for path in ("/auth/refresh", "/auth/logout"):
            assert error_of(caller.post(path, {}))["code"] == "csrf_failed"
        assert caller.post("/auth/refresh", {}, x_csrftoken=csrf).status_code == 200
        assert caller.post("/auth/logout", {}, x_csrftoken=csrf).status_code == 204
        assert caller.get("/auth/me").status_code == 401

    def test_it_believes_no_other_origin(self) -> None:
        caller, csrf = self.browser()
        response = caller.post("/api-keys", {"name": "x"}, x_csrftoken=csrf, origin="https://evil.example")
        assert error_of(response)["code"] == "csrf_failed"

    def test_a_bearer_needs_no_csrf_token(self) -> None:
        assert with_session(ADA.email).post("/api-keys", {"name": "x", "role": "viewer"}).status_code == 201

    def test_a_form_of_another_site_signs_nobody_in(self) -> None:
        response = Caller()(
            "POST",
            "/auth/login",
            raw=f"email={ADA.email}&password={PASSWORD}".encode(),
            content_type="application/x-www-form-urlencoded",
        )
        assert response.status_code == 415


def _platform_records(request_id: str) -> list[dict[str, Any]]:
    from audit import services

    services.drain("_platform")
    with platform_scope(actor=SETUP), transaction(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_jsonb(r) FROM audit_record r WHERE request_id = %s ORDER BY seq",
            [request_id],
        )
        return [row[0] if isinstance(row[0], dict) else json.loads(row[0]) for row in cursor.fetchall()]


def _make_default_tenant() -> None:
    from kaireon.tenancy import tenants
    from kaireon.tenancy.context import scope

    tenants.create_tenant(tenant_id="default", name="Default", actor=SETUP)
    with scope(tenant_id="default", actor=SETUP), transaction():
        tenants.add_member(user=ADA.user, role=Role.ADMIN)
