"""From a CSV through hash and mask into a file and into customers, with what was refused listed."""

import csv
import io
import json
from datetime import timedelta

import pytest
from django.core.files.storage import default_storage

from compliance.purging.purge import purge_expired
from compliance.retention.policies import upsert_policy
from customers.models import ConsentRecord, Customer, Interaction
from kaireon.flows import batches, building, execution, nodes, pipelines, scheduler
from kaireon.flows.definition import FlowInvalid
from kaireon.flows.models import FlowCheckpoint, FlowRun, RunState
from kaireon.jobs import runner
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.lib.masking import KeyedHash
from kaireon.tenancy.context import current, transaction
from kaireon.tenancy.keyring import keyring
from tests.cast import MALLORY
from tests.flows.conftest import again, begin, got, make, put, work

CSV = (
    "customerId,email,phone,country,age\r\n"
    "c-1,ada@example.com,(555) 123-4567,gb,41\r\n"
    "c-2,bo@example.com,+44 7700 900123,zz9,33\r\n"
    "c-3,cy@example.com,,de,abc\r\n"
    'c-4,"broken,de,5\r\n'
    "c-5,eve@example.com,(555) 123-4567,nl,17\r\n"
)
STEPS = [
    {"name": "read", "node": "load_file", "params": {"file": "in/customers.csv", "format": "csv"}},
    {"name": "typed", "node": "cast", "params": {"columns": {"age": "integer"}}, "needs": ["read"]},
    {"name": "grown", "node": "filter", "params": {"column": "age", "op": "gt", "value": 18}, "needs": ["typed"]},
    {
        "name": "places",
        "node": "map_values",
        "params": {"column": "country", "values": {"gb": "GB", "zz9": "XK"}, "otherwise": "reject"},
        "needs": ["grown"],
    },
    {
        "name": "pseudonyms",
        "node": "hash",
        "params": {"columns": ["email"], "purpose": "research"},
        "needs": ["places"],
    },
    {"name": "masked", "node": "mask", "params": {"columns": ["phone"]}, "needs": ["pseudonyms"]},
    {
        "name": "file",
        "node": "write_file",
        "params": {"file": "out/{run}.csv", "format": "csv"},
        "needs": ["masked"],
    },
    {"name": "renamed", "node": "rename", "params": {"columns": {"age": "attributes.age"}}, "needs": ["places"]},
    {"name": "store", "node": "write_entity", "params": {"entity": "customers"}, "needs": ["renamed"]},
]


def test_it_runs_from_a_file_into_a_file_and_into_customers(acme: str) -> None:
    put("in/customers.csv", CSV)
    run = work(begin(make(STEPS)))
    assert (run.state, run.error) == (RunState.DONE, "")
    assert (run.rows_in, run.rows_out, run.rows_failed) == (5, 4, 2)

    [ada, bo] = csv.DictReader(io.StringIO(got(f"out/{run.pk}.csv")))
    keyed = KeyedHash(keyring=keyring(), tenant_id="acme", purpose="research")
    assert ada["email"] == keyed("ada@example.com")
    assert (ada["phone"], ada["country"]) == ("(***) ***-4567", "GB")
    # Neutralised, because a plus sign begins a formula.
    assert bo["phone"] == "'+** **** **0123"

    with transaction():
        stored = {c.customer_id: c for c in Customer.objects.all()}
    assert set(stored) == {"c-1", "c-2"}
    assert stored["c-1"].email == "ada@example.com"
    assert stored["c-1"].attributes == {"age": 41}

    with default_storage.open(run.rejects.name) as file:
        refused = file.read().decode()
    assert refused.splitlines() == [
        '"step","line","field","reason"',
        '"read",5,"","opens a quotation mark that is not closed."',
        '"typed",4,"age","is no integer."',
    ]
    assert "cy@example.com" not in refused


def test_nothing_is_left_between_the_steps_when_it_is_done(acme: str) -> None:
    put("in/customers.csv", CSV)
    run = work(begin(make(STEPS)))
    assert not run.keeps_batches
    assert not default_storage.exists(f"flows/acme/work/{run.pk}")


def test_what_lies_between_the_steps_is_sealed(acme: str) -> None:
    put("in/customers.csv", CSV)
    run = begin(
        make(
            [*STEPS[:2], {"name": "gone", "node": "write_entity", "params": {"entity": "consents"}, "needs": ["typed"]}]
        )
    )
    batches.write(run.pk, "read", 0, [(1, {"email": "ada@example.com"})])
    with default_storage.open(f"flows/acme/work/{run.pk}/read.000000") as file:
        assert b"ada@example" not in file.read()
    assert batches.read(run.pk, "read", 0) == [(1, {"email": "ada@example.com"})]
    batches.drop(run.pk, [("read", 1)])
    with pytest.raises(FileNotFoundError):
        batches.read(run.pk, "read", 0)


def test_entities_come_out_as_they_go_in(acme: str) -> None:
    put("in/c.ndjson", '{"customerId": "c-1", "email": "a@example.com", "attributes": {"tier": "gold"}}\nno json\n')
    put(
        "in/i.ndjson",
        json.dumps(
            {
                "customerId": "c-1",
                "externalId": "o-1",
                "kind": "purchase",
                "occurredAt": "2026-01-05T10:00:00Z",
                "amount": "11.77",
                "currency": "EUR",
            }
        ),
    )
    put(
        "in/k.csv",
        "customerId,channel,purpose,status,recordedAt\nc-1,email,news,granted,2026-01-05\nc-9,email,news,granted,2026-01-05\n",
    )

    def bring(name: str, entity: str) -> FlowRun:
        params = {"file": f"in/{name}", "format": name.rsplit(".", maxsplit=1)[-1]}
        steps = [
            {"name": "read", "node": "load_file", "params": params},
            {"name": "store", "node": "write_entity", "params": {"entity": entity}},
        ]
        return work(begin(make(steps, name=f"bring {entity}")))

    assert [r.rows_failed for r in (bring("c.ndjson", "customers"), bring("i.ndjson", "interactions"))] == [1, 0]
    consents = bring("k.csv", "consents")
    assert (consents.rows_out, consents.rows_failed) == (1, 1)
    with transaction():
        assert (Interaction.objects.count(), ConsentRecord.objects.count()) == (1, 1)

    for entity in ("customers", "interactions", "consents"):
        steps = [
            {"name": "read", "node": "load_entity", "params": {"entity": entity}},
            {"name": "file", "node": "write_file", "params": {"file": f"out/{entity}", "format": "ndjson"}},
        ]
        assert work(begin(make(steps, name=f"out {entity}"))).state == RunState.DONE
    [customer] = map(json.loads, got("out/customers").splitlines())
    assert (customer["customerId"], customer["attributes"]) == ("c-1", {"tier": "gold"})
    [interaction] = map(json.loads, got("out/interactions").splitlines())
    assert (interaction["customerId"], interaction["amount"]) == ("c-1", "11.7700")
    [consent] = map(json.loads, got("out/consents").splitlines())
    assert (consent["customerId"], consent["status"]) == ("c-1", "granted")


def test_rows_go_in_batches_and_two_branches_meet(acme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put("a.ndjson", "".join(json.dumps({"n": n}) + "\n" for n in range(2500)))
    steps = [
        {"name": "a", "node": "load_file", "params": {"file": "a.ndjson", "format": "ndjson"}},
        {"name": "low", "node": "filter", "params": {"column": "n", "op": "lt", "value": 1200}, "needs": ["a"]},
        {"name": "high", "node": "filter", "params": {"column": "n", "op": "gt", "value": 2000}, "needs": ["a"]},
        {
            "name": "out",
            "node": "write_file",
            "params": {"file": "o.ndjson", "format": "ndjson"},
            "needs": ["high", "low"],
        },
    ]
    run = work(begin(make(steps)))
    assert run.state == RunState.DONE
    assert [json.loads(line)["n"] for line in got("o.ndjson").splitlines()] == [*range(2001, 2500), *range(1200)]
    with transaction():
        rows = {c.step: c for c in FlowCheckpoint.objects.filter(run=run)}
    assert rows["a"].output == {"batches": 3}
    assert all(c.done and c.share == 1.0 and c.finished_at == run.finished_at for c in rows.values())


def test_a_long_run_goes_on_in_a_job_of_its_own(acme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put("a.ndjson", "".join(json.dumps({"n": n}) + "\n" for n in range(2500)))
    steps = [
        {"name": "a", "node": "load_file", "params": {"file": "a.ndjson", "format": "ndjson"}},
        {"name": "o", "node": "write_file", "params": {"file": "o.ndjson", "format": "ndjson"}},
    ]
    monkeypatch.setattr(execution, "SECONDS_A_JOB", 0.0)
    run = begin(make(steps))
    first = again(run).job_ref
    assert work(run).state == RunState.RUNNING
    assert again(run).job_ref != first
    with transaction():
        assert Job.objects.get(pk=first).state == JobState.DONE
    monkeypatch.setattr(execution, "SECONDS_A_JOB", 60.0)
    # The old job's message, coming late, does nothing.
    runner.run(job_id=first)
    done = work(run)
    assert (done.state, done.rows_in, done.rows_out) == (RunState.DONE, 2500, 2500)


def test_a_missing_file_fails_for_good_and_the_run_can_be_taken_up_when_it_is_there(acme: str) -> None:
    run = work(begin(make(STEPS)))
    assert (run.state, run.error, run.failed_step) == (RunState.FAILED, "file_missing", "read")
    assert "put it under the tenant's folder" in run.message
    put("in/customers.csv", CSV)
    with transaction():
        execution.resume(run, now=clock.now())
    assert work(run).state == RunState.DONE
    with transaction(), pytest.raises(execution.RunNotFailed):
        execution.resume(run, now=clock.now())


def test_a_changed_definition_is_refused_with_a_clear_message(acme: str) -> None:
    pipeline = make(STEPS)
    run = work(begin(pipeline))
    assert run.state == RunState.FAILED
    with transaction():
        pipelines.change(
            pipeline,
            name=pipeline.name,
            definition={"steps": STEPS[:1] + STEPS[-1:]} | _joined(),
            actor=current().actor,
            now=clock.now(),
        )
    with transaction(), pytest.raises(execution.DefinitionChanged, match="start a new run"):
        execution.resume(run, now=clock.now())
    other = begin(_reload(pipeline))
    with transaction():
        pipelines.change(
            _reload(pipeline), name=pipeline.name, definition={"steps": STEPS}, actor=current().actor, now=clock.now()
        )
    ended = work(other)
    assert (ended.state, ended.error) == (RunState.FAILED, "definition_changed")
    assert "start a new run" in ended.message


def _joined() -> dict[str, object]:
    return {"steps": [STEPS[0], {"name": "store", "node": "write_entity", "params": {"entity": "customers"}}]}


def _reload(pipeline):
    with transaction():
        return pipelines.find(pipeline.pk)


def test_a_worker_that_lost_its_lease_writes_nothing_more(acme: str) -> None:
    put("in/customers.csv", CSV)
    run = begin(make(STEPS))
    with transaction():
        FlowRun.objects.filter(pk=run.pk).update(state=RunState.RUNNING, holder=run.pk)
    store = execution.FencedStore(run.pk, None)
    with pytest.raises(execution.LeaseLost), store.transaction():
        pytest.fail("it may not come here")


def test_deleting_a_pipeline_ends_what_runs(acme: str) -> None:
    put("in/customers.csv", CSV)
    pipeline = make(STEPS)
    run = begin(pipeline)
    with transaction():
        pipelines.delete(pipeline, actor=current().actor, now=clock.now())
    assert work(run).error == "pipeline_deleted"
    with transaction():
        assert not Customer.objects.exists()
        assert pipelines.find(pipeline.pk) is None
    make(STEPS)  # the name is free again


def test_the_tick_takes_up_what_nobody_works_on_and_clears_what_nobody_needs(acme: str) -> None:
    pipeline = make(STEPS)
    lost = begin(pipeline)
    with transaction():
        Job.objects.all().delete()
    failed = work(begin(pipeline))
    now = clock.now()
    done = scheduler.tick(now=now, budget=Budget(10))
    assert (done.resumed, done.cleared) == (1, 0)
    put("in/customers.csv", CSV)
    assert work(lost).state == RunState.DONE
    done = scheduler.tick(now=now + timedelta(days=1), budget=Budget(10))
    assert done.cleared == 1
    with transaction(), pytest.raises(building.BatchesGone):
        execution.resume(failed, now=clock.now())


def test_retention_takes_runs_with_their_checkpoints_and_rejects(acme: str) -> None:
    put("in/customers.csv", CSV)
    run = work(begin(make(STEPS)))
    with transaction():
        upsert_policy(data_class="metrics", retention_days=30, actor=current().actor, now=clock.now())
    purged = purge_expired(now=clock.now() + timedelta(days=31), actor=current().actor)
    assert purged.deleted["flowRun"] == 1
    assert purged.deleted["flowCheckpoint"] == len(STEPS)
    assert purged.errors == []
    assert not default_storage.exists(run.rejects.name)


@pytest.mark.parametrize(
    ("steps", "field", "words"),
    [
        ([], "steps", "1 to 100"),
        ([{"name": "a", "node": "load_entity", "params": {"entity": "customers"}}] * 101, "steps", "1 to 100"),
        ([{"name": "a", "node": "nonsense"}], "steps[0].node", "must be one of"),
        ([{"name": "a b", "node": "load_entity", "params": {"entity": "customers"}}], "steps[0].name", "letters"),
        ([{"name": "a", "node": "load_entity"}], "steps[0].params.entity", "is required"),
        ([{"name": "a", "node": "load_entity", "params": {"entity": "tenants"}}], "steps[0].params.entity", "one of"),
        ([{"name": "a", "node": "load_entity", "params": {"entity": "customers"}}], "steps[0]", "leads nowhere"),
        ([{"name": "a", "node": "write_entity", "params": {"entity": "customers"}}], "steps[0].needs", "unreachable"),
        ([*STEPS[:1], {**STEPS[1], "needs": ["nobody"]}], "steps[1].needs", "no step"),
        ([{**STEPS[1], "needs": ["typed"]}], "steps[0].needs", "cycle"),
        ([STEPS[0], STEPS[0]], "steps[1].name", "earlier step"),
        ([{**STEPS[0], "colour": 1}], "steps[0].colour", "unknown field"),
        ([{**STEPS[0], "params": {"file": "../x", "format": "csv"}}], "steps[0].params.file", "relative path"),
        ([{**STEPS[0], "params": {"file": "/etc/x", "format": "csv"}}], "steps[0].params.file", "relative path"),
        ([{**STEPS[0], "params": {"file": "work/x", "format": "csv"}}], "steps[0].params.file", "belong to the runs"),
        ([{**STEPS[0], "params": {"file": "x", "format": "xls"}}], "steps[0].params.format", "csv, ndjson"),
    ],
)
def test_a_definition_that_cannot_run_is_refused_by_its_place(steps, field, words) -> None:
    with pytest.raises(FlowInvalid, match=words) as refused:
        building.build("x", {"steps": steps})
    assert refused.value.field == field


def test_every_node_says_what_it_is_for() -> None:
    assert {n.name for n in nodes.all_nodes()} >= {"load_entity", "write_entity", "load_file", "write_file"}
    assert all(len(n.help) > 10 for n in nodes.all_nodes())


def test_mallory_reads_her_own_folder(db: str) -> None:
    with MALLORY.here():
        run = work(begin(make(STEPS)))
    assert run.error == "file_missing"
