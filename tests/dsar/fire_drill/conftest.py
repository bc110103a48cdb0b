"""What a drill needs: a shop that writes, an officer who asks, a colleague who agrees, and a worker who can be killed.

Everything is said over HTTP, as docs/dsar.md and the OpenAPI schema have it; only time and accidents are made by hand.
"""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from customers.partitions import ensure_months
from dsar.models import DsarRequest
from kaireon.jobs import runner
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.tenancy import tenants
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Role
from tests.caller import Caller, with_key, with_session
from tests.cast import ADA, PASSWORD

NUMBER, EMAIL = "S-204", "grace.hopper@example.com"
NEIGHBOUR = "S-2040"


def days_ago(days: float) -> str:
    return clock.rfc3339(clock.now() - timedelta(days=days))


class Officer:
    """Ada at the API, and what becomes of what she files."""

    def __init__(self) -> None:
        self.call = with_key("ada")

    def get(self, path: str, status: int = 200) -> Any:
        answer = self.call.get(path)
        assert answer.status_code == status, answer.content
        return json.loads(answer.content)

    def post(self, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        answer = self.call.post(path, body, **headers)
        assert answer.status_code == status, answer.content
        return json.loads(answer.content) if answer.content else None

    def asks(self, request_type: str = "export", subject: str = NUMBER, **more: Any) -> str:
        body = {"requestType": request_type, "subjectId": subject, **more}
        return str(self.post("/dsar", body, status=202)["requestId"])

    def shown(self, request_id: str) -> Any:
        return self.get(f"/dsar/{request_id}")

    def package(self, request_id: str) -> Any:
        answer = self.call.get(f"/dsar/{request_id}/download?format=json")
        assert answer.status_code == 200, answer.content
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        return json.loads(body)


@pytest.fixture
def officer(db: str, settings: Any, tmp_path: Path) -> Officer:
    default = {**settings.STORAGES["default"], "OPTIONS": {"location": str(tmp_path / "objects")}}
    settings.STORAGES = {**settings.STORAGES, "default": default}
    with ADA.here(), transaction():
        ensure_months("customers_interaction", [clock.now() - timedelta(days=40), clock.now()])
    return Officer()


@pytest.fixture
def shop(officer: Officer) -> Callable[..., Any]:
    """Grace, who bought twice, allowed one thing and forbade another; and a neighbour of nearly the same number."""

    def send(path: str, **rows: Any) -> Any:
        [(plural, batch)] = rows.items()
        said = officer.post(path, {plural: batch})
        assert said["errors"] == [], said
        return said

    people = [(NUMBER, EMAIL, "Grace Hopper"), (NEIGHBOUR, "howard.aiken@example.com", "Howard Aiken")]
    send("/customers", customers=[{"customerId": n, "email": e, "name": name} for n, e, name in people])
    for number, _, _ in people:
        shopped = [{"externalId": f"{number}-{n}", "kind": "purchase", "occurredAt": days_ago(n)} for n in (3, 30)]
        send("/interactions", interactions=[{"customerId": number, **row} for row in shopped])
        stated = [
            {"channel": "email", "purpose": "news", "status": "withdrawn", "recordedAt": days_ago(2)},
            {"channel": "sms", "purpose": "orders", "status": "granted", "recordedAt": days_ago(4)},
        ]
        send("/consents", consents=[{"customerId": number, **row} for row in stated])
    return send


@pytest.fixture
def worker(officer: Officer) -> Iterator[Callable[[], None]]:
    """Works on all that is due; whom it follows was killed, and holds nothing any more."""

    def work() -> None:
        with transaction():
            Job.objects.filter(state=JobState.RUNNING).update(lease_until=clock.now())
            Job.objects.open().filter(failures__gt=0).update(due_at=clock.now())
        while True:
            with transaction():
                due = Job.objects.open().filter(type__startswith="dsar_", due_at__lte=clock.now())
                job = due.order_by("created_at").first()
            if job is None:
                return
            runner.run(job_id=job.pk)

    with ADA.here():
        yield work


@pytest.fixture
def colleague(officer: Officer) -> Caller:
    """Another admin, signed in."""
    with ADA.here():
        user = tenants.create_user(email="bea@acme.example", name="Bea", password=PASSWORD, actor=ADA.actor)
        with transaction():
            tenants.add_member(user=user, role=Role.ADMIN)
    return with_session("bea@acme.example")


def row_of(request_id: str) -> DsarRequest:
    with transaction():
        return DsarRequest.objects.get(pk=request_id)
