"""A session goes on by refresh tokens that work once, and ends by signing out."""

from datetime import timedelta
from functools import partial

import pytest

from kaireon.lib import clock
from kaireon.tenancy import sessions
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import Membership, RefreshToken, Tenant
from tests.caller import Caller, error_of, me, refresh, sign_in
from tests.cast import ADA, MALLORY, VI
from tests.race import at_once
from tests.tenancy.conftest import deactivate

pytestmark = pytest.mark.usefixtures("db")


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
        trade = partial(sessions.refresh_session, token=token)
        outcomes = at_once(trade, trade, losing=(sessions.RefreshRefused,))
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
