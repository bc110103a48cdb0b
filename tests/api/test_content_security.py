"""Every answer says what a browser may run on its strength: pages our own files, data nothing."""

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory, override_settings

from kaireon.api.content_security import ADMIN, DATA, FORMS, PAGE, ContentSecurityMiddleware, header
from tests.admin.conftest import SignIn, sign_in  # noqa: F401
from tests.admin.inline import refused
from tests.cast import ADA, KEYS

HEADER = "Content-Security-Policy"
KEY = {"HTTP_AUTHORIZATION": f"Bearer {KEYS['ada']}"}


def test_no_policy_lets_in_what_is_not_ours() -> None:
    for policy in (DATA, PAGE, FORMS, ADMIN):
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert set(" ".join(policy.values()).split()) <= {"'none'", "'self'", "'unsafe-eval'", "data:"}
        assert "data:" not in policy.get("script-src", "")
    assert [name for name, sources in ADMIN.items() if "unsafe" in sources] == ["script-src"]
    assert "unsafe" not in header(PAGE) + header(FORMS) + header(DATA)
    assert "script-src" not in FORMS


@pytest.mark.parametrize(
    ("path", "status", "policy"),
    [
        ("/api/v1/customers", 200, DATA),
        ("/api/v1/schema/", 200, DATA),
        ("/api/v1/nothing", 404, DATA),
        ("/nowhere", 404, DATA),
        ("/witness/v1/add-checkpoint", 404, DATA),
        ("/static/kaireon/favicon.svg", 200, DATA),
        ("/", 302, DATA),
        ("/admin/login/", 200, ADMIN),
        ("/admin/", 302, ADMIN),
        ("/privacy/", 404, FORMS),
        ("/privacy/acme/", 404, FORMS),
        ("/privacy/acme/nowhere/at/all", 404, FORMS),
        ("/api/v1/docs/", 200, PAGE),
        ("/api/v1/docs/?script=", 200, PAGE),
    ],
)
def test_each_place_has_its_policy(path: str, status: int, policy: dict[str, str], db: str) -> None:
    answer = Client(raise_request_exception=False).get(path, **KEY)
    assert (answer.status_code, answer.headers[HEADER]) == (status, header(policy))


def test_so_have_refusals(db: str) -> None:
    assert Client().get("/api/v1/customers").headers[HEADER] == header(DATA)
    with override_settings(BLOCKED_ROUTES=["/api/v1/customers"]):
        answer = Client().get("/api/v1/customers", **KEY)
    assert (answer.status_code, answer.headers[HEADER]) == (503, header(DATA))


def test_pages_of_errors_and_of_signing_in_keep_it(sign_in: SignIn) -> None:  # noqa: F811
    client = sign_in(ADA)
    for path in ("/admin/nowhere/", "/admin/", "/admin/password_change/"):
        answer = client.get(path)
        assert (answer.headers[HEADER], refused(answer)) == (header(ADMIN), []), path
    assert refused(Client().get("/admin/login/")) == []
    assert refused(Client().get("/api/v1/docs/")) == []


def test_an_answer_with_a_policy_of_its_own_keeps_it() -> None:
    own = ContentSecurityMiddleware(lambda request: HttpResponse(headers={HEADER: "sandbox"}))
    assert own(RequestFactory().get("/admin/")).headers[HEADER] == "sandbox"


@pytest.mark.parametrize(
    "spoiled",
    [
        "<script>alert(1)</script>",
        "<style>a{}</style>",
        '<p style="color: red">',
        '<img src="/x.png" onerror="alert(1)">',
        '<a href=" JavaScript:alert(1)">',
        '<script src="https://elsewhere.example/x.js"></script>',
        '<link rel="stylesheet" href="//elsewhere.example/x.css">',
    ],
)
def test_what_a_policy_refuses_is_found_in_a_page(spoiled: str) -> None:
    assert len(refused(HttpResponse(spoiled))) == 1
