"""The product in processes of its own, and a customer other systems have been writing about for a while."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ADA, KEYS
from tests.dsar.conftest import make_customer
from tests.live import Answer, Web, Worker

OLD = timedelta(days=40)


class Person:
    """Somebody at a terminal, with an API key and the address of the server."""

    def __init__(self, web: Web, nick: str) -> None:
        self.web = web
        self.headers = {"Authorization": f"Bearer {KEYS[nick]}"}

    def get(self, path: str) -> Answer:
        return self.web.get(path, headers=self.headers)

    def post(self, path: str, body: object) -> Answer:
        return self.web.post(path, body, headers=self.headers)

    def all_logs(self) -> list[dict[str, object]]:
        """Every record of the tenant's log, oldest first."""
        records: list[dict[str, object]] = []
        page = 1
        while True:
            answer = self.get(f"/audit-logs?limit=100&page={page}").json()
            records += answer["logs"]
            if len(answer["logs"]) < answer["limit"]:
                return sorted({r["id"]: r for r in records}.values(), key=lambda r: r["seq"])  # type: ignore[arg-type, return-value]
            page += 1


@pytest.fixture
def web(db: str, tmp_path: Path) -> Iterator[Web]:
    with Web(tmp_path / "web.log") as server:
        yield server


@pytest.fixture
def worker(db: str, tmp_path: Path) -> Worker:
    """Not started yet."""
    return Worker(tmp_path / "worker.log", "dsar-jobs", "batch-jobs")


@pytest.fixture
def ada(web: Web) -> Person:
    return Person(web, "ada")


@pytest.fixture
def ed(web: Web) -> Person:
    return Person(web, "ed")


@pytest.fixture
def mallory(web: Web) -> Person:
    return Person(web, "mallory")


@pytest.fixture
def jane(db: str) -> str:
    """The number of a customer with rows in every table, most of them forty days old; and a neighbour beside her."""
    with ADA.here(), transaction():
        make_customer("C-99", "neighbour@example.com")
        return make_customer().customer_id


def days_ago(days: int) -> str:
    return (clock.now() - timedelta(days=days)).isoformat()
