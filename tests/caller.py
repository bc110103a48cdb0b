"""A client of the HTTP API, as somebody's key or session or as nobody."""

import json
from typing import Any

from django.http import HttpResponse
from django.test import Client

from tests.cast import KEYS, PASSWORD

API = "/api/v1"


class Caller:
    """Sends JSON to `/api/v1/…` with fixed headers; an exception of the server is its 500 answer."""

    def __init__(self, *, csrf: bool = True, **headers: str) -> None:
        self.client = Client(enforce_csrf_checks=csrf, raise_request_exception=False)
        self.headers = headers

    def __call__(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, **headers: str
    ) -> HttpResponse:
        """Keyword headers are written with underscores: `x_tenant_id="acme"`."""
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        given = {name.replace("_", "-"): value for name, value in {**self.headers, **headers}.items()}
        content_type = given.pop("content-type", "application/json")
        response: HttpResponse = self.client.generic(
            method, path if path.startswith("/api/") else f"{API}{path}", data, content_type, headers=given
        )
        return response

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: Any) -> HttpResponse:
        return self("POST", path, body, **headers)

    def delete(self, path: str, **headers: str) -> HttpResponse:
        return self("DELETE", path, **headers)


def nobody() -> Caller:
    return Caller()


def with_key(nick: str) -> Caller:
    """The caller with that person's API key."""
    return Caller(authorization=f"Bearer {KEYS[nick]}")


def sign_in(email: str, password: str = PASSWORD, **more: str) -> HttpResponse:
    return Caller().post("/auth/login", {"email": email, "password": password, **more})


def with_session(email: str, **more: str) -> Caller:
    """The caller with a fresh session's access token as bearer."""
    return Caller(authorization=f"Bearer {sign_in(email, **more).json()['accessToken']}")


def me(token: str, **headers: str) -> HttpResponse:
    """Who the bearer of the token is."""
    return Caller().get("/auth/me", authorization=f"Bearer {token}", **headers)


def refresh(token: str) -> HttpResponse:
    return Caller().post("/auth/refresh", {"refreshToken": token})


def error_of(response: HttpResponse) -> dict[str, Any]:
    """The error an answer carries, after checking that it has the one shape."""
    body = json.loads(response.content)
    assert list(body) == ["error"], body
    error: dict[str, Any] = body["error"]
    assert set(error) == {"code", "message", "status", "requestId"}, error
    assert error["status"] == response.status_code
    assert error["code"] == error["code"].lower()
    assert error["message"]
    assert error["requestId"] == response["X-Request-Id"]
    assert response["Content-Type"] == "application/json"
    return error
