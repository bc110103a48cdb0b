"""API keys: shown once, kept as a keyed hash, bound to one tenant, ended at once."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection

from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import ApiKey, Tenant
from kaireon.tenancy.roles import PERMISSIONS, Role
from tests.caller import Caller, error_of, with_key
from tests.cast import ACME, ADA, GLOBEX, KEYS

pytestmark = pytest.mark.usefixtures("db")


def made(**body: Any) -> dict[str, Any]:
    response = with_key("ada").post("/api-keys", {"name": "machine", **body})
    assert response.status_code == 201, response.content
    answer: dict[str, Any] = response.json()
    return answer


def using(key: str, path: str = "/auth/me", **headers: str) -> Any:
    return Caller().get(path, authorization=f"Bearer {key}", **headers)


def test_it_is_shown_once() -> None:
    key = made()["key"]
    assert key.startswith("krn_")
    assert using(key).status_code == 200
    listed = with_key("ada").get("/api-keys").json()
    assert listed["total"] == 5
    assert key.split("_", 2)[2] not in str(listed)
    assert all("key" not in row and "secretHash" not in row for row in listed["apiKeys"])


def test_it_is_kept_as_a_keyed_hash(superuser_url: str) -> None:
    key = made()["key"]
    with psycopg.connect(superuser_url) as root:
        tables = "SELECT string_agg(k::text, ' ') FROM tenancy_apikey k"
        inbox = "SELECT string_agg(k::text, ' ') FROM audit_inbox k"
        stored = str(root.execute(tables).fetchone()) + str(root.execute(inbox).fetchone())
    secret = key.split("_", 2)[2]
    assert secret not in stored


def test_it_is_accepted_in_either_header() -> None:
    assert Caller().get("/auth/me", x_api_key=KEYS["ada"]).json()["type"] == "api_key"
    assert using(KEYS["ada"]).json()["name"] == "ada"
    assert Caller().get("/auth/me", authorization=f"bearer {KEYS['ada']}").status_code == 200


def test_its_tenant_is_the_keys_whatever_the_header_says() -> None:
    for tenant in (GLOBEX, "nowhere", ""):
        assert using(KEYS["ada"], x_tenant_id=tenant).json()["tenantId"] == ACME


def test_it_says_the_tenants_name() -> None:
    assert using(KEYS["ada"]).json()["tenants"] == [{"id": ACME, "name": "Acme", "role": "admin"}]


NOT_KEYS = (
    "krn_",
    "krn_ada",
    "krn_ada_",
    "krn_ada_wrong",
    "krn_nobody_the-key-of-ada",
    "krn__the-key-of-ada",
    "krn_ada_the-key-of-ad",
    "krn_ADA_the-key-of-ada",
    "krn_" + "x" * 5000,
    "krn_ada_\xff\xfe",
)


def test_it_refuses_what_is_not_a_key() -> None:
    for key in NOT_KEYS:
        response = using(key)
        assert response.status_code == 401, key
        assert "Bearer" in response["WWW-Authenticate"]
        error_of(response)


def test_it_expires() -> None:
    soon = clock.now() + timedelta(hours=1)
    answer = made(expiresAt=soon.isoformat())
    assert using(answer["key"]).status_code == 200
    with clock.freeze(soon + timedelta(seconds=1)):
        assert using(answer["key"]).status_code == 401


def test_it_cannot_be_made_expired() -> None:
    for when in ("2020-01-01T00:00:00Z", "tomorrow", 7):
        response = with_key("ada").post("/api-keys", {"name": "x", "expiresAt": when})
        assert "expiresAt" in error_of(response)["message"]


def test_it_is_revoked_at_once() -> None:
    answer = made()
    assert with_key("ada").delete(f"/api-keys/{answer['id']}").status_code == 204
    assert using(answer["key"]).status_code == 401
    again = with_key("ada").delete(f"/api-keys/{answer['id']}")
    assert again.status_code == 409
    assert error_of(again)["code"] == "key_already_revoked"


def test_it_ends_with_its_tenant() -> None:
    with ADA.here(), transaction():
        Tenant.objects.update(is_active=False)
    assert using(KEYS["ada"]).status_code == 401


def test_it_may_what_its_role_may() -> None:
    for role in Role:
        assert set(using(made(role=role)["key"]).json()["permissions"]) == {str(p) for p in PERMISSIONS[role]}


def test_it_may_only_what_its_scopes_name() -> None:
    key = made(role="admin", scopes=["manage_keys"])["key"]
    assert using(key).json()["permissions"] == ["manage_keys"]
    assert using(key, "/api-keys").status_code == 200
    assert using(key, "/audit-logs").status_code == 403


MISFITS: tuple[dict[str, Any], ...] = (
    {"role": "viewer", "scopes": ["manage_keys"]},
    {"scopes": ["everything"]},
    {"scopes": "manage_keys"},
    {"role": "owner"},
    {"role": None},
    {"name": ""},
    {"name": "x" * 101},
    {"name": ["x"]},
    {"name": "x", "tenantId": GLOBEX},
)


def test_it_refuses_what_does_not_fit() -> None:
    for body in MISFITS:
        response = with_key("ada").post("/api-keys", {"name": "machine", **body})
        assert response.status_code == 400, body
        error_of(response)


def test_a_narrowed_key_makes_no_wider_one() -> None:
    """Else a key with `manage_keys` alone would be as good as an admin's."""
    narrow = Caller(authorization=f"Bearer {made(role='admin', scopes=['manage_keys'])['key']}")
    assert narrow.post("/api-keys", {"name": "x", "role": "admin"}).status_code == 403
    assert narrow.post("/api-keys", {"name": "x", "role": "admin", "scopes": ["read_audit"]}).status_code == 403
    assert narrow.post("/api-keys", {"name": "x", "role": "admin", "scopes": ["manage_keys"]}).status_code == 201


def test_it_notes_its_use_at_most_once_a_minute() -> None:
    answer = made()
    using(answer["key"])
    first = _row(answer["id"]).last_used_at
    assert first is not None
    asked: list[str] = []

    def noted(execute: Any, sql: str, *rest: Any) -> Any:
        asked.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(noted):
        using(answer["key"])
    assert _row(answer["id"]).last_used_at == first
    assert not [sql for sql in asked if "last_used_at" in sql]
    with clock.freeze(first + timedelta(minutes=2)):
        using(answer["key"])
    assert _row(answer["id"]).last_used_at == first + timedelta(minutes=2)


def test_another_tenants_key_is_not_there_to_revoke() -> None:
    with ADA.here(), transaction():
        theirs = ApiKey.objects.get(prefix="ada")
    assert with_key("mallory").delete(f"/api-keys/{theirs.pk}").status_code == 404
    assert using(KEYS["ada"]).status_code == 200


def test_in_single_tenant_mode_only_the_default_tenants_keys_work(settings: Any) -> None:
    settings.SINGLE_TENANT_MODE = True
    assert error_of(using(KEYS["ada"]))["code"] == "unknown_tenant"


def test_it_is_recorded_without_its_secret() -> None:
    from audit import services
    from audit.models import AuditRecord

    response = with_key("ada").post("/api-keys", {"name": "machine"}, x_request_id="req-key")
    services.drain(ACME)
    with ADA.here(), transaction():
        [record] = AuditRecord.objects.filter(request_id="req-key")
        assert record.actor_type == "api_key"
        assert record.entity_type == "ApiKey"
        assert "secret" not in str(record.changes)
        assert response.json()["key"] not in str(record.changes)


def _row(key_id: str) -> ApiKey:
    with ADA.here(), transaction():
        return ApiKey.objects.get(pk=key_id)
