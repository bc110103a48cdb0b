"""docs/contract-ledger.md: what it calls finished exists, and the test it names does too."""

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands
from django.urls import URLPattern, URLResolver, get_resolver

from cron.jobs import JOBS
from kaireon import env
from tests.product.matrix import MATRIX, OPEN

PROJECT = Path(settings.BASE_DIR)
FOLDERS = ("audit", "compliance", "cron", "customers", "dsar", "kaireon")


@dataclass(frozen=True)
class Line:
    fact: str
    where: str
    state: str
    shown_by: str
    names: tuple[tuple[str, str], ...]


def lines() -> list[Line]:
    found = []
    for text in (PROJECT / "docs" / "contract-ledger.md").read_text().splitlines():
        if text.startswith("|") and not text.startswith(("| fact |", "|---")):
            cells = [cell.strip() for cell in text.strip("|").split(" |")]
            assert len(cells) == 5, text
            names = tuple(tuple(name.split(" ", 1)) for name in re.findall(r"`([^`]+)`", cells[4]))
            found.append(Line(*cells[:4], names))  # type: ignore[arg-type]
    return found


@cache
def source() -> str:
    paths = (p for folder in FOLDERS for p in (PROJECT / folder).rglob("*") if p.suffix in (".py", ".sql"))
    return "\n".join(path.read_text() for path in paths)


def route_exists(named: str) -> bool:
    method, path = named.split(" ")
    [api] = [p for p in get_resolver().url_patterns if isinstance(p, URLResolver) and str(p.pattern) == "api/v1/"]
    patterns = [p for p in api.url_patterns if isinstance(p, URLPattern)]
    names = {f"/api/v1/{p.pattern}".replace("<str:name>", "<name>"): p.name for p in patterns}
    return (method, names.get(path)) in {*MATRIX, *OPEN}


def ops_route_exists(named: str) -> bool:
    from kaireon.ops.urls import urlpatterns

    return named.removeprefix("GET ") in {str(p.pattern) for p in urlpatterns}


def variable_exists(named: str) -> bool:
    return (
        hasattr(env, named) and re.search(rf"^#? ?{named}=", (PROJECT / ".env.example").read_text(), re.M) is not None
    )


def job_exists(named: str) -> bool:
    name, _, schedule = named.partition(" ")
    return name in JOBS and (JOBS[name].schedule or "") == schedule


def event_exists(named: str) -> bool:
    return re.search(rf'logger\.\w+\(\s*"{re.escape(named)}"', source()) is not None


def verb_exists(named: str) -> bool:
    return f'"{named}"' in source() or f"'{named}'" in source()


EXISTS: dict[str, Callable[[str], bool]] = {
    "route": route_exists,
    "ops": ops_route_exists,
    "env": variable_exists,
    "switch": variable_exists,
    "queue": lambda named: named in settings.QUEUES,
    "job": job_exists,
    "event": event_exists,
    # A counter's samples end in _total, and its declaration does not.
    "metric": lambda named: re.search(rf'"{re.escape(named.removesuffix("_total"))}(_total)?"', source()) is not None,
    "command": lambda named: named in get_commands(),
    "verb": verb_exists,
}


def test_it_has_lines_and_every_line_a_state() -> None:
    found = lines()
    assert len(found) > 80
    for line in found:
        assert line.fact
        assert line.where
        assert line.state in ("finished", "later") or line.state.startswith("otherwise: "), line


def test_everything_a_finished_line_names_exists() -> None:
    missing = [
        (line.fact, kind, name)
        for line in lines()
        if line.state == "finished"
        for kind, name in line.names
        if not EXISTS[kind](name)
    ]
    assert missing == []


def test_every_finished_line_names_a_test_that_exists() -> None:
    missing = [line.shown_by for line in lines() if line.state == "finished" and not _is_test(line.shown_by)]
    assert missing == []


def test_no_line_of_later_claims_anything() -> None:
    assert [line for line in lines() if line.state != "finished" and (line.shown_by or line.names)] == []


def test_every_endpoint_stands_in_the_ledger() -> None:
    named = {name for line in lines() for kind, name in line.names if kind == "route"}
    [api] = [p for p in get_resolver().url_patterns if isinstance(p, URLResolver) and str(p.pattern) == "api/v1/"]
    paths = {p.name: f"/api/v1/{p.pattern}".replace("<str:name>", "<name>") for p in api.url_patterns}  # type: ignore[union-attr]
    missing = {f"{method} {paths[name]}" for method, name in (*MATRIX, *OPEN)} - named
    assert missing == set()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("route", "GET /api/v1/nothing"),
        ("route", "PUT /api/v1/dsar"),
        ("ops", "GET nothing"),
        ("env", "NOTHING"),
        ("switch", "NOTHING_ENABLED"),
        ("metric", "kaireon_nothing_total"),
        ("queue", "nothing-jobs"),
        ("job", "nothing"),
        ("job", "cleanup 0 0 * * *"),
        ("event", "nothing_happened"),
        ("command", "nothing"),
        ("verb", "nothing.happened"),
    ],
)
def test_it_would_notice_what_does_not_exist(kind: str, name: str) -> None:
    assert not EXISTS[kind](name)


def test_sessions_cache_and_broker_keep_apart() -> None:
    addresses = {
        settings.CACHES["sessions"]["LOCATION"],
        settings.CACHES["default"]["LOCATION"],
        settings.CELERY_BROKER_URL,
    }
    assert {address.rpartition("/")[2] for address in addresses} == {"0", "1", "2"}


def _is_test(named: str) -> bool:
    file, *path = named.split("::")
    if not path or not (PROJECT / file).is_file():
        return False
    nodes: list[ast.stmt] = ast.parse((PROJECT / file).read_text()).body
    for name in path:
        node = next((n for n in nodes if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name == name), None)
        if node is None:
            return False
        nodes = node.body
    return True
