"""A worker that stood still for longer than its lease, and then goes on as if nothing had happened."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import connections

from kaireon.flows import batches, nodes
from kaireon.flows.models import RunState
from kaireon.flows.nodes import Kind, Loaded, Node
from kaireon.jobs import runner
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import Tenant
from tests.cast import ACME, ADA
from tests.flows.conftest import again, begin, make, work


@pytest.fixture
def acme(db: str) -> Iterator[str]:
    with ADA.here(request_id="req-1"):
        yield ACME


class Standstill:
    """Stops the first who comes by until somebody lets them go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.let_go = threading.Event()

    def pass_by(self) -> None:
        if not self.reached.is_set():
            self.reached.set()
            assert self.let_go.wait(30)


def test_what_it_writes_afterwards_is_neither_counted_nor_left_lying(
    acme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    standstill = Standstill()
    written: list[str] = []

    def load(params: nodes.Params, position: Any) -> Iterator[Loaded]:
        for batch in range(position or 0, 3):
            if batch == 1:
                standstill.pass_by()
            yield Loaded(rows=[(batch, {"n": batch})], rejects=[], position=batch + 1, share=(batch + 1) / 3)

    def write(params: nodes.Params, rows: Any) -> list[batches.Reject]:
        written.extend(row["n"] for _, row in rows)
        Tenant.objects.filter(pk=ACME).update(name=f"written {len(written)}")
        return []

    for node in (
        Node(name="test_slow", kind=Kind.LOAD, help="", check=nodes.only, load=load),
        Node(name="test_write", kind=Kind.WRITE, help="", check=nodes.only, write=write),
    ):
        monkeypatch.setitem(nodes._nodes, node.name, node)
    run = begin(make([{"name": "read", "node": "test_slow"}, {"name": "write", "node": "test_write"}]))

    def stand_still() -> None:
        try:
            with ADA.here():
                runner.run(job_id=run.job_ref)
        finally:
            connections.close_all()

    zombie = threading.Thread(target=stand_still)
    zombie.start()
    assert standstill.reached.wait(30)
    with transaction():
        Job.objects.filter(pk=run.job_ref).update(lease_until=clock.now())
    assert work(run).state == RunState.DONE
    standstill.let_go.set()
    zombie.join(30)
    assert written == [0, 1, 2]
    with transaction():
        assert Job.objects.get(pk=run.job_ref).state == JobState.DONE
        assert again(run).state == RunState.DONE
    _, left = default_storage.listdir(f"{batches.folder()}/work/{run.pk}") if _has_work(run.pk) else ([], [])
    assert left == []


def _has_work(run_id: Any) -> bool:
    return bool(default_storage.exists(f"{batches.folder()}/work/{run_id}"))
