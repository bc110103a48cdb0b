"""A worker that is killed in the middle of a pipeline, wherever that is: the next one goes on, and nothing is twice."""

import csv
import io
import json
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.files.storage import default_storage

from audit import services as log
from audit.models import AuditRecord
from kaireon.flows import nodes, scheduler
from kaireon.flows.models import FlowCheckpoint, FlowRun, RunState
from kaireon.flows.nodes import Kind, Loaded, Node, Params
from kaireon.jobs import runner
from kaireon.jobs.models import Job, JobState
from kaireon.jobs.services import LEASE
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import ApiKey, Tenant
from tests.cast import ACME
from tests.flows import tally
from tests.flows.conftest import again, begin, got, make, process, put, work

STEPS = [
    {"name": "read", "node": "load_file", "params": {"file": "in.ndjson", "format": "ndjson"}},
    {"name": "keyed", "node": "hash", "params": {"columns": ["email"], "purpose": "p"}, "needs": ["read"]},
    {"name": "file", "node": "write_file", "params": {"file": "out.csv", "format": "csv"}, "needs": ["keyed"]},
    {"name": "tally", "node": "tally", "needs": ["keyed"]},
]
ROWS = 40
PEOPLE = [json.dumps({"customerId": f"c-{n}", "email": f"p{n}@example.com"}) for n in range(ROWS)]
KILLED = "import sys, uuid; from tests.flows import tally; tally.main(uuid.UUID(sys.argv[1]), sys.argv[2])"
# By when a step is finished for good: killed later, the worker after it does not read the file again.
READING = {"before anything", "while it reads"}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    node = tally.tally()
    monkeypatch.setitem(nodes._nodes, node.name, node)


@pytest.mark.parametrize(
    "moment",
    [
        "before anything",
        "while it reads",
        "while it changes",
        "before the file is there",
        "after the file is there",
        "inside the effect",
        "between effect and checkpoint",
        "between checkpoint and commit",
        "before the last step's end",
        "before the run's end",
        "inside the run's end",
        "after the run's end",
    ],
)
def test_whenever_a_worker_is_killed_the_next_one_goes_on(acme: str, counted: None, moment: str) -> None:
    put("in.ndjson", "\n".join([*PEOPLE[:25], "no json", *PEOPLE[25:]]))
    run = begin(make(STEPS))
    died = process(KILLED, run.job_ref, moment)
    assert died.returncode == -signal.SIGKILL, died.stderr
    if moment not in READING:
        default_storage.delete("flows/acme/in.ndjson")
    with clock.freeze(clock.now() + LEASE + timedelta(seconds=1)):
        ended = work(run)
        scheduler.tick(now=clock.now(), budget=Budget(10))
    assert (ended.state, ended.error) == (RunState.DONE, "")
    assert (ended.rows_in, ended.rows_out, ended.rows_failed) == (ROWS + 1, 2 * ROWS, 1)
    assert Counter(row["customerId"] for row in csv.DictReader(io.StringIO(got("out.csv")))) == {
        f"c-{n}": 1 for n in range(ROWS)
    }
    assert got(f"rejects/{run.pk}.csv").splitlines()[1:] == ['"read",26,"","is not JSON: Expecting value at column 1."']
    log.drain(ACME)
    with transaction():
        made = ApiKey.objects.filter(secret_hash="tally")
        assert Counter(made.values_list("name", flat=True)) == {f"c-{n}": 1 for n in range(ROWS)}
        told = AuditRecord.objects.filter(
            entity_type="ApiKey", action="create", entity_id__in=map(str, made.values_list("pk", flat=True))
        )
        assert told.count() == ROWS
        job = Job.objects.get()
        assert (job.state, job.losses) == (JobState.DONE, moment != "after the run's end")
        assert {c.code_version for c in FlowCheckpoint.objects.all()} == {run.code_version}
    assert not again(run).keeps_batches
    assert not default_storage.exists(f"flows/acme/work/{run.pk}")


@pytest.fixture
def greedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """`greedy` changes the database and then gives fifty megabytes."""

    def load(params: Params, position: object) -> Iterator[Loaded]:
        yield Loaded(rows=[(1, {"customerId": "c-1"})], rejects=[], position=1, share=0.5)
        Tenant.objects.filter(pk=ACME).update(name="Renamed")
        yield Loaded(rows=[], rejects=[], position="x" * 50_000_000, share=1.0)

    node = Node(name="greedy", kind=Kind.LOAD, help="Gives too much.", check=nodes.only, load=load, in_transaction=True)
    monkeypatch.setitem(nodes._nodes, node.name, node)


def test_a_step_that_gives_fifty_megabytes_fails_the_run_for_good_and_leaves_nothing_half_done(
    acme: str, greedy: None
) -> None:
    steps = [
        {"name": "much", "node": "greedy"},
        {"name": "store", "node": "write_entity", "params": {"entity": "customers"}},
    ]
    run = work(begin(make(steps)))
    assert (run.state, run.error, run.failed_step) == (RunState.FAILED, "output_too_large", "much")
    assert run.message == (
        "Step 'much' gave 47.7 MB; a checkpoint takes at most 1 MB. Keep the data in storage and give its name."
    )
    with transaction():
        job = Job.objects.get()
        assert (job.state, job.attempts) == (JobState.FAILED, 1)
        assert Tenant.objects.get(pk=ACME).name == "Acme"
        [kept] = FlowCheckpoint.objects.all()
        assert (kept.step, kept.position, kept.done) == ("much", [1, 1], False)
        assert FlowRun.objects.get().finished_at is not None


def test_a_worker_that_wakes_up_late_finds_its_run_taken_and_writes_nothing(
    acme: str, counted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stood still for longer than its lease; meanwhile another one did the work."""
    put("in.ndjson", "\n".join(PEOPLE))
    run = begin(make(STEPS))
    job_id = run.job_ref
    assert job_id is not None
    taken: list[str] = []
    begun = nodes.get("hash")
    assert begun.transform is not None
    transform = begun.transform

    def overtaken(params: Params) -> nodes.Transform:
        if not taken:
            taken.append("by another")
            with clock.freeze(clock.now() + LEASE + timedelta(seconds=1)):
                other = runner.run(job_id=job_id)
            assert other is not None
            assert other.state == JobState.DONE
        return transform(params)

    monkeypatch.setitem(nodes._nodes, "hash", replace(begun, transform=overtaken))
    after = runner.run(job_id=job_id)
    assert after is not None
    assert (after.state, after.losses) == (JobState.DONE, 1)
    assert again(run).state == RunState.DONE
    with transaction():
        names = ApiKey.objects.filter(secret_hash="tally").values_list("name", flat=True)
        assert Counter(names) == {f"c-{n}": 1 for n in range(ROWS)}
