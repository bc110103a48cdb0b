"""One error shape, whoever refuses: routes, methods, bodies, headers, the unexpected."""

import json
import logging
import re
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404
from redis.exceptions import ConnectionError as RedisAway

from kaireon.api import errors
from kaireon.api.logs import JsonFormatter, RequestIdFilter
from kaireon.lib.sealing import UnknownKeyVersion
from kaireon.tenancy import api as tenancy
from tests.caller import Caller, error_of, nobody, with_key

pytestmark = pytest.mark.usefixtures("db")


def posted(raw: bytes, path: str = "/api-keys", **headers: str) -> Any:
    return with_key("ada")("POST", path, raw=raw, **headers)


class TestStatuses:
    def test_it_refuses_nobody_with_401(self) -> None:
        for path in ("/auth/me", "/api-keys", "/audit-logs", "/customers", "/dsar"):
            response = nobody().get(path)
            assert error_of(response)["code"] == "unauthenticated"
            assert response["WWW-Authenticate"] == 'Bearer realm="kaireon"'

    def test_it_refuses_the_wrong_role_with_403(self) -> None:
        assert error_of(with_key("vi").get("/audit-logs"))["code"] == "forbidden"

    def test_it_knows_no_other_route(self) -> None:
        for path in ("/nothing", "/auth/me/", "/audit-logs/1/2/3", "/api-keys/not-a-uuid", "/%00"):
            assert error_of(with_key("ada").get(path))["code"] == "not_found"

    def test_it_says_which_methods_there_are(self) -> None:
        response = with_key("ada")("DELETE", "/api-keys")
        assert error_of(response)["code"] == "method_not_allowed"
        assert set(response["Allow"].split(", ")) == {"GET", "POST", "HEAD", "OPTIONS"}
        for method in ("PUT", "PATCH", "TRACE", "BREW", "DISPATCH", "PERMISSION"):
            assert error_of(with_key("ada")(method, "/api-keys"))["status"] == 405

    def test_it_takes_json_only(self) -> None:
        for content_type in ("text/plain", "application/xml", "multipart/form-data; boundary=x", "application/jsonx"):
            response = posted(b'{"name": "x"}', content_type=content_type)
            assert error_of(response)["code"] == "unsupported_media_type"
        assert posted(b'{"name": "x"}', content_type="application/json; charset=utf-8").status_code == 201

    def test_it_answers_json_whatever_is_accepted(self) -> None:
        assert with_key("ada").get("/auth/me", accept="*/*").status_code == 200
        error_of(with_key("ada").get("/auth/me", accept="text/html"))

    def test_it_hides_what_nobody_expected(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def explode(*_: Any) -> None:
            raise ValueError("the secret of cust-17")

        monkeypatch.setattr(tenancy.MeView, "get", explode)
        response = with_key("ada").get("/auth/me")
        assert error_of(response)["code"] == "internal_error"
        assert b"cust-17" not in response.content

    @pytest.mark.parametrize(
        ("raised", "status", "code"),
        [
            (Http404("cust-17"), 404, "not_found"),
            (PermissionDenied("cust-17"), 403, "forbidden"),
            (OperationalError("cust-17"), 503, "unavailable"),
            (InterfaceError("cust-17"), 503, "unavailable"),
            (RedisAway("cust-17"), 503, "unavailable"),
            (UnknownKeyVersion("cust-17"), 503, "sealing_key_missing"),
            (DataError("cust-17"), 400, "value_out_of_range"),
            (IntegrityError("cust-17"), 409, "conflict"),
            (errors.Gone(), 410, "gone"),
            (errors.TooManyRequests(7), 429, "rate_limited"),
        ],
    )
    def test_it_translates_what_it_knows(
        self, raised: Exception, status: int, code: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def explode(*_: Any) -> None:
            raise raised

        monkeypatch.setattr(tenancy.MeView, "get", explode)
        response = with_key("ada").get("/auth/me")
        assert response.status_code == status
        assert error_of(response)["code"] == code
        assert b"cust-17" not in response.content
        if status in (429, 503):
            assert int(response["Retry-After"]) > 0


class TestBodies:
    def test_it_refuses_what_is_not_json(self) -> None:
        for raw, said in (
            (b"{", "not JSON"),
            (b'{"name": "x",}', "not JSON"),
            (b"{'name': 'x'}", "not JSON"),
            (b"\xff\xfe{\x00", "not UTF-8"),
            (b"\xef\xbb\xbf{}", "not JSON"),
            (b'{"name": NaN}', "NaN"),
            (b'{"name": -Infinity}', "Infinity"),
            (b'{"name": 1e999}', "number"),
            (b'{"name": ' + b"9" * 5000 + b"}", "number"),
            (b'{"name": "a", "name": "b"}', "twice"),
            (b'{"a": {"b": 1, "b": 2}}', "twice"),
            (b'{"name": "a\\u0000b"}', "NUL"),
            (b'{"name": "a\\ud800b"}', "surrogate"),
            (b'{"a\\u0000": 1}', "NUL"),
            (b'{"list": ["\\udfff"]}', "surrogate"),
            (b"[" * 100_000, "not JSON"),
            (b"[" * 1_000 + b"]" * 1_000, "deeply"),
            (b'{"a":' * 65 + b"1" + b"}" * 65, "deeply"),
        ):
            response = posted(raw)
            assert response.status_code == 400, raw[:40]
            message = error_of(response)["message"]
            assert said in message or "deeply" in message, (raw[:40], message)

    def test_it_names_where_the_bad_text_stands(self) -> None:
        message = error_of(posted(b'{"a": {"b": [1, "x\\u0000"]}}'))["message"]
        assert "a.b[1]" in message

    def test_it_refuses_what_is_not_an_object(self) -> None:
        for raw in (b"null", b"[]", b"7", b'"text"', b"true", b""):
            assert posted(raw).status_code == 400, raw

    def test_it_refuses_unknown_fields_by_name(self) -> None:
        error = error_of(posted(b'{"name": "x", "tenant_id": "globex"}'))
        assert error["code"] == "invalid"
        assert "tenant_id" in error["message"]
        assert "known are" in error["message"]

    def test_it_refuses_wrong_types_by_name(self) -> None:
        for body in ({"name": {}}, {"name": []}, {"name": True}, {"name": None}, {"name": "x", "scopes": {}}):
            error = error_of(with_key("ada").post("/api-keys", body))
            assert error["status"] == 400, body
            assert "name" in error["message"] or "scopes" in error["message"]

    def test_it_makes_nothing_fit(self) -> None:
        for path, body, field in (
            ("/gdpr/erasure", {"customerId": 17}, "customerId"),
            ("/gdpr/erasure", {"customerId": True}, "customerId"),
            ("/dsar", {"requestType": "export", "subjectId": 17}, "subjectId"),
            ("/dsar", {"requestType": "export", "subjectId": "x", "encrypt": "yes"}, "encrypt"),
        ):
            error = error_of(with_key("ada").post(path, body))
            assert (error["status"], error["message"].split(":")[0]) == (400, field)

    def test_it_refuses_ten_megabytes(self) -> None:
        for path, caller in (("/auth/login", nobody()), ("/api-keys", with_key("ada")), ("/dsar", with_key("ada"))):
            response = caller("POST", path, raw=b'{"name": "' + b"x" * 10 * 1024 * 1024 + b'"}')
            assert response.status_code == 413, path
            assert error_of(response)["code"] == "payload_too_large"

    def test_it_refuses_a_large_one_with_an_idempotency_key_too(self) -> None:
        response = posted(b" " * (6 * 1024 * 1024) + b"{}", "/dsar", idempotency_key="k")
        assert response.status_code == 413

    def test_nobody_is_told_what_is_wrong_with_the_body(self) -> None:
        assert nobody()("POST", "/api-keys", raw=b"{").status_code == 401


class TestRequestId:
    def test_it_echoes_what_is_acceptable(self) -> None:
        for given in ("req-1", "x" * 128, "a b", "~!@#$%^&*()"):
            assert nobody().get("/auth/me", x_request_id=given)["X-Request-Id"] == given

    def test_it_replaces_what_is_not(self) -> None:
        for given in ("x" * 129, "", "tab\there", "n\xfcmlaut", "bell\x07", "del\x7f"):
            echoed = nobody().get("/auth/me", x_request_id=given)["X-Request-Id"]
            assert re.fullmatch(r"[0-9a-f]{32}", echoed), given

    def test_it_makes_a_new_one_each_time(self) -> None:
        assert len({nobody().get("/auth/me")["X-Request-Id"] for _ in range(3)}) == 3

    def test_every_line_of_the_log_carries_it(self) -> None:
        written = StringIO()
        handler = logging.StreamHandler(written)
        handler.addFilter(RequestIdFilter())
        handler.setFormatter(JsonFormatter())
        logging.getLogger().addHandler(handler)
        try:
            with_key("vi").get("/audit-logs/verify", x_request_id="req-log")
        finally:
            logging.getLogger().removeHandler(handler)
        lines = [json.loads(line) for line in written.getvalue().splitlines()]
        assert {line["requestId"] for line in lines} == {"req-log"}
        [line] = [line for line in lines if line["event"] == "request"]
        assert line["status"] == 403
        assert line["route"] == "/api/v1/audit-logs/verify"


class TestPaging:
    def test_it_clamps_what_is_over_the_cap(self) -> None:
        answer = with_key("ada").get("/audit-logs?limit=100000").json()
        assert answer["limit"] == 100

    def test_it_refuses_what_is_no_number(self) -> None:
        for query in ("limit=x", "limit=-1", "limit=0", "limit=1.5", "page=0", "page=", "limit=%D9%A1", "limit=1e3"):
            error = error_of(with_key("ada").get(f"/audit-logs?{query}"))
            assert error["status"] == 400, query
            assert query.split("=")[0] in error["message"]

    def test_a_page_past_the_end_is_empty(self) -> None:
        answer = with_key("ada").get("/audit-logs?page=999999").json()
        assert answer["logs"] == []
        assert answer["total"] > 0


def test_a_host_we_do_not_serve_is_400() -> None:
    response = Caller().client.get("/api/v1/auth/me", headers={"host": "evil.example"})
    assert response.status_code == 400
    error_of(response)


def test_no_line_of_the_log_quotes_a_path(caplog: pytest.LogCaptureFixture) -> None:
    for path in ("/customers/CU-4711", "/ada@example.org"):
        with_key("ada").get(path)

    lines = "\n".join(JsonFormatter().format(record) for record in caplog.records)
    assert "customers/<path:customer_id>" in lines
    assert "Not Found: unmatched" in lines
    assert "4711" not in lines
    assert "example.org" not in lines
