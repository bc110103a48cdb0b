"""The OpenAPI schema: valid, and about exactly the endpoints there are."""

import json
import re
from typing import Any

import pytest
import yaml
from django.test import Client
from drf_spectacular.validation import validate_schema

from tests.product.matrix import MATRIX, METHODS, OPEN, routes


@pytest.fixture
def schema() -> dict[str, Any]:
    response = Client().get("/api/v1/schema/", headers={"accept": "application/vnd.oai.openapi+json"})
    assert response.status_code == 200
    answer: dict[str, Any] = json.loads(response.content)
    return answer


def operations(schema: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if method.upper() in METHODS
    }


def test_it_is_valid_openapi_3_1(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.1")
    validate_schema(schema)  # type: ignore[no-untyped-call]


def test_it_describes_every_endpoint_and_no_other(schema: dict[str, Any]) -> None:
    from django.urls import get_resolver

    [api] = [p for p in get_resolver().url_patterns if str(p.pattern) == "api/v1/"]
    paths = {p.name: "/api/v1/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(p.pattern)) for p in api.url_patterns}
    described = {name for _, name in (*MATRIX, *OPEN)} - {"schema", "docs"}
    expected = {(method, paths[name]) for method, name in (*MATRIX, *OPEN) if name in described}
    assert set(operations(schema)) == expected
    assert set(paths) == set(routes())


def test_every_operation_has_an_id_a_description_and_an_answer(schema: dict[str, Any]) -> None:
    found = operations(schema)
    ids = [operation["operationId"] for operation in found.values()]
    assert len(ids) == len(set(ids))
    for where, operation in found.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation["operationId"]), where
        assert any(status.startswith("2") for status in operation["responses"]), where
        assert operation.get("description") or where == ("GET", "/api/v1/auth/me"), where


def test_names_on_the_wire_are_camel_case(schema: dict[str, Any]) -> None:
    for name, component in schema["components"]["schemas"].items():
        for field_name in component.get("properties", {}):
            assert re.fullmatch(r"[a-z][a-zA-Z0-9]*", field_name), (name, field_name)


def test_the_file_in_the_docs_is_the_one_that_is_served(schema: dict[str, Any]) -> None:
    from django.conf import settings

    written = yaml.safe_load((settings.BASE_DIR / "docs" / "openapi.yaml").read_text())
    assert written["paths"].keys() == schema["paths"].keys()
    assert written["components"]["schemas"].keys() == schema["components"]["schemas"].keys()


def test_the_browsable_docs_are_there() -> None:
    assert b"swagger" in Client().get("/api/v1/docs/").content
