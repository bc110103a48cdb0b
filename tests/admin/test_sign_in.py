"""Signing in, switching tenants, and what happens when it does not work."""

from typing import Any

import pytest
from django.db import connections
from django.test import Client

import audit
from audit.models import AuditRecord
from kaireon.tenancy import tenants
from kaireon.tenancy.admin_site import REFUSED
from kaireon.tenancy.context import PLATFORM, platform_scope, scope, transaction
from kaireon.tenancy.models import Membership, User
from kaireon.tenancy.roles import Role
from tests.admin.conftest import SignIn
from tests.cast import ACME, ADA, GLOBEX, MALLORY, PASSWORD, SETUP, VI


def attempt(email: str, password: str = PASSWORD, *, client: Client | None = None) -> tuple[int, str]:
    browser = client or Client(raise_request_exception=False)
    answer = browser.post("/admin/login/", {"username": email, "password": password})
    return answer.status_code, answer.content.decode()


def test_a_stranger_is_sent_to_sign_in(db: str) -> None:
    answer = Client().get("/admin/customers/customer/")
    assert answer.headers["Location"] == "/admin/login/?next=/admin/customers/customer/"


def test_wrong_unknown_locked_and_inactive_look_the_same(db: str) -> None:
    with platform_scope(actor=SETUP), transaction():
        User.objects.filter(email="ed@acme.example").update(is_active=False)
    for _ in range(5):
        attempt("vi@acme.example", "wrong")
    tried = [
        attempt(ADA.email, "wrong"),
        attempt("nobody@acme.example"),
        attempt("vi@acme.example"),
        attempt("ed@acme.example"),
    ]
    assert [status for status, _ in tried] == [200] * 4
    assert all(REFUSED in page for _, page in tried)
    for secret in ("inactive", "unknown_user", "wrong_password"):
        assert not any(secret in page for _, page in tried)


def test_an_address_has_ten_failures_a_minute(db: str) -> None:
    for number in range(10):
        assert attempt(f"nobody-{number}@acme.example")[0] == 200
    status, page = attempt(ADA.email)
    assert status == 429
    assert "Too many failed attempts" in page


def test_signing_in_is_recorded(sign_in: SignIn) -> None:
    sign_in(ADA)
    audit.services.drain(ACME)
    with ADA.here(), transaction():
        record = AuditRecord.objects.get(action="auth.login")
    assert record.changes == {"method": "admin"}
    assert record.user_name == "Ada"


def test_an_account_without_membership_is_told_so_and_can_leave(db: str) -> None:
    tenants.create_user(email="new@acme.example", name="New", password=PASSWORD, actor=SETUP)
    client = Client(raise_request_exception=False)
    assert attempt("new@acme.example", client=client)[0] == 302
    page = client.get("/admin/", follow=True)
    assert page.status_code == 403
    assert "belong to no tenant" in page.content.decode()
    assert client.get("/admin/customers/customer/", follow=True).status_code == 403
    client.post("/admin/logout/")
    assert client.get("/admin/login/").status_code == 200
    audit.services.drain(PLATFORM)


def test_signing_in_twice_leads_home(sign_in: SignIn) -> None:
    client = sign_in(ADA)
    assert attempt(MALLORY.email, client=client)[0] == 302
    assert "Acme" in client.get("/admin/").content.decode()


def test_a_member_switches_between_their_tenants(sign_in: SignIn) -> None:
    with scope(tenant_id=GLOBEX, actor=SETUP), transaction():
        tenants.add_member(user=ADA.user, role=Role.VIEWER)
    client = sign_in(ADA)
    assert "Acme, change" in client.get("/admin/").content.decode()
    assert client.get("/admin/tenancy/membership/").status_code == 200
    assert client.post("/admin/switch-tenant/", {"tenant": GLOBEX}).status_code == 302
    assert "Globex, change" in client.get("/admin/").content.decode()
    # The role there counts, not the one from before.
    assert client.get("/admin/tenancy/membership/").status_code == 403


@pytest.mark.parametrize("wanted", [GLOBEX, "no-such-tenant", "_platform", "", "acme\x00"])
def test_a_foreign_tenant_is_refused(wanted: str, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    assert client.post("/admin/switch-tenant/", {"tenant": wanted}).status_code == 403
    assert client.get("/admin/switch-tenant/", {"tenant": wanted}).status_code == 403
    assert "Acme, change" in client.get("/admin/").content.decode()


def test_a_membership_that_ends_ends_access_at_once(sign_in: SignIn) -> None:
    client = sign_in(ADA)
    with ADA.here(), transaction():
        Membership.objects.filter(user=ADA.user).delete()
    assert client.get("/admin/customers/customer/").status_code == 302
    assert client.get("/admin/", follow=True).status_code == 403


def test_a_form_without_its_token_is_refused_in_words(sign_in: SignIn) -> None:
    client = Client(enforce_csrf_checks=True)
    client.cookies = sign_in(ADA).cookies
    answer = client.post("/admin/compliance/retentionpolicy/hold/", {"data_class": "interactions", "reason": "x"})
    assert answer.status_code == 403
    assert "This form has expired" in answer.content.decode()


def test_without_redis_it_says_so_and_signs_nobody_out(sign_in: SignIn, settings: Any) -> None:
    client = sign_in(ADA)
    working = settings.CACHES
    away = {**working["sessions"], "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {**working, "sessions": away}
    answer = client.get("/admin/")
    assert answer.status_code == 503
    assert "does not answer" in answer.content.decode()
    assert "Traceback" not in answer.content.decode()
    settings.CACHES = working
    assert client.get("/admin/").status_code == 200


def test_without_a_database_it_says_so_and_comes_back(sign_in: SignIn) -> None:
    client = sign_in(ADA)
    database = connections["default"]
    port = database.settings_dict["PORT"]
    database.close()
    database.settings_dict["PORT"] = "1"
    try:
        answer = client.get("/admin/customers/customer/")
    finally:
        database.close()
        database.settings_dict["PORT"] = port
    assert answer.status_code == 503
    assert "The database does not answer" in answer.content.decode()
    assert client.get("/admin/customers/customer/").status_code == 200


def test_a_refused_page_is_recorded(sign_in: SignIn) -> None:
    client = sign_in(VI)
    assert client.get("/admin/audit/auditrecord/").status_code == 403
    audit.services.drain(ACME)
    with ADA.here(), transaction():
        record = AuditRecord.objects.get(action="access.refused")
    assert (record.entity_id, record.user_name) == ("admin:audit_auditrecord_changelist", "Vi")


def test_a_new_password_counts_and_is_recorded(sign_in: SignIn) -> None:
    client = sign_in(ADA)
    fresh = "another horse battery staple"
    given = {"old_password": PASSWORD, "new_password1": fresh, "new_password2": fresh}
    assert client.get("/admin/password_change/").status_code == 200
    assert client.post("/admin/password_change/", given).status_code == 302
    assert ADA.user.check_password(fresh)
    assert client.get("/admin/").status_code == 200
