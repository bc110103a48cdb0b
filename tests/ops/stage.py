"""The product on real ports, asked from outside: the operations port of a gunicorn, and what its processes log."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from prometheus_client.parser import text_string_to_metric_families
from psycopg import sql

from kaireon.local.folder import free_port
from kaireon.local.redis import EmbeddedRedis
from tests.live import Answer, Web


class Site(Web):
    """The web server with its operations port."""

    def __init__(self, log: Path, **environment: str) -> None:
        self.ops_port = free_port()
        super().__init__(log, **{"OPS_PORT": str(self.ops_port), **environment})

    def ask(self, path: str, **headers: str) -> Answer:
        """GET on the operations port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ops_port, timeout=60)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def figures(self) -> dict[str, float]:
        """Every sample of /metrics: `name{label="value"}`, labels in order, to its value."""
        answer = self.ask("/metrics")
        assert answer.status == 200, answer.body
        return {
            name(sample.name, sample.labels): sample.value
            for family in text_string_to_metric_families(answer.body.decode())
            for sample in family.samples
        }


class Unready(Site):
    """A server that has not got all it needs: it is there as soon as it is alive."""

    def is_ready(self) -> bool:
        try:
            return self.ask("/healthz").status == 200
        except ConnectionError:
            return False


@contextmanager
def redis_of_its_own(folder: Path) -> Iterator[EmbeddedRedis]:
    """A Redis that may be stopped without harm to other tests."""
    server = EmbeddedRedis(folder / "redis", password="own", log=folder / "redis.log", throwaway=True)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def database_away(superuser_url: str, name: str) -> Iterator[None]:
    """Nobody gets in any more, and whoever was in is thrown out."""
    with psycopg.connect(superuser_url, dbname="postgres", autocommit=True) as root:
        allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        root.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
        root.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        try:
            yield
        finally:
            root.execute(allow.format(sql.Identifier(name), sql.SQL("true")))


def name(metric: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{key}="{labels[key]}"' for key in sorted(labels))
    return f"{metric}{{{inside}}}" if inside else metric


def lines(log: Path, event: str) -> list[dict[str, Any]]:
    """The JSON lines of that event which a process wrote."""
    found = []
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith("{"):
            said = json.loads(line)
            if said["event"] == event:
                found.append(said)
    return found
