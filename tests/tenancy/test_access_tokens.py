"""The access token of a session: what it opens, in which tenant, and what ends it."""

from base64 import urlsafe_b64encode
from typing import Any

import jwt
import pytest
from django.conf import settings

from kaireon.lib import clock
from kaireon.tenancy import tenants
from kaireon.tenancy.context import scope, transaction
from kaireon.tenancy.models import Membership, Tenant
from kaireon.tenancy.roles import Role
from tests.caller import error_of, me, sign_in, with_session
from tests.cast import ACME, ADA, GLOBEX, MALLORY, SETUP, VI
from tests.tenancy.conftest import deactivate

pytestmark = pytest.mark.usefixtures("db")


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


def _make_default_tenant() -> None:
    tenants.create_tenant(tenant_id="default", name="Default", actor=SETUP)
    with scope(tenant_id="default", actor=SETUP), transaction():
        tenants.add_member(user=ADA.user, role=Role.ADMIN)
