"""The operations port."""

from collections.abc import Callable
from threading import Barrier
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.test import Client, override_settings

from audit import sequencer
from kaireon.ops import gauges, health
from kaireon.ops.deadline import Question
from tests.caller import error_of


class Probe(Client):
    """Asks as orchestrators do: on the operations port, by an address that is no allowed host."""

    def generic(self, *args: Any, **extra: Any) -> Any:
        return super().generic(*args, **{"SERVER_PORT": str(settings.OPS_PORT), "HTTP_HOST": "10.1.2.3:9090", **extra})


@pytest.fixture
def probe() -> Probe:
    return Probe()


def test_it_is_alive_without_a_database(probe: Probe) -> None:
    response = probe.get("/healthz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


def test_it_is_ready_with_everything_there(probe: Probe, db: str) -> None:
    # The cast's own records wait since the template was made, which counts as a sequencer that lags.
    while sequencer.sweep():
        pass
    response = probe.get("/readyz")
    checks = dict.fromkeys(("database", "redis", "migrations", "audit_coverage", "serving"), "ok")
    assert response.json() == {"status": "ok", "checks": checks}
    assert response.status_code == 200


@override_settings(CELERY_BROKER_URL="redis://127.0.0.1:1/0")
def test_it_is_not_ready_without_redis(probe: Probe, db: str) -> None:
    response = probe.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["redis"] == "failed"


def test_it_is_not_ready_with_a_migration_missing(db: str, superuser_url: str) -> None:
    with psycopg.connect(superuser_url) as connection:
        connection.execute("DELETE FROM django_migrations WHERE app = 'django_celery_beat' AND name LIKE '0019%'")
    assert health.MigrationsApplied()() is False


def together(number: int, answer: Any) -> tuple[Question[Any], ...]:
    """So many questions, none of which is answered before all are asked."""
    met = Barrier(number)

    def ask() -> Any:
        met.wait(timeout=20)
        return answer

    return tuple(Question(f"question {n}", ask, seconds=30) for n in range(number))


def test_a_database_that_hangs_costs_a_scrape_one_limit_and_not_one_for_each_source() -> None:
    questions = together(len(gauges.SOURCES), [])
    [up] = gauges.State(questions).collect()
    assert [sample.value for sample in up.samples] == [1.0] * len(questions)


@pytest.mark.parametrize(("asked", "say"), [("_CHECKS", health.checked), ("_DEGRADATIONS", health.degraded)])
def test_it_costs_a_probe_one_limit_too(asked: str, say: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    questions = together(len(getattr(health, asked)), True)
    monkeypatch.setattr(health, asked, {question.name: question for question in questions})
    said = say()
    assert list(said) == [question.name for question in questions]


@pytest.mark.parametrize("path", ["/admin/", "/api/v1/docs/", "/"])
def test_the_product_is_not_on_the_operations_port(probe: Probe, path: str) -> None:
    assert error_of(probe.get(path))["code"] == "not_found"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_it_is_only_read(probe: Probe, path: str) -> None:
    refused = probe.post(path)
    assert error_of(refused)["code"] == "method_not_allowed"
    assert refused["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/nowhere"])
def test_a_browser_runs_nothing_of_it(path: str, probe: Probe, db: str) -> None:
    for answer in (probe.get(path), probe.post(path)):
        assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(answer["Content-Security-Policy"].split("; "))


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_not_on_the_public_port_whatever_the_host_header_says(path: str) -> None:
    assert Client(HTTP_HOST="localhost:9090").get(path).status_code == 404
