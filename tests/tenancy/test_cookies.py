"""A session in cookies: scripts cannot read them, and writes need the CSRF token."""

import pytest

from tests.caller import Caller, error_of, with_session
from tests.cast import ADA, PASSWORD

pytestmark = pytest.mark.usefixtures("db")


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
