"""The four canonical scenarios on both stores, and a crash between an effect and its checkpoint."""

import signal
from collections.abc import Callable, Generator, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from kaireon.flows import engine
from kaireon.flows.definition import MAX_STEPS, Flow, FlowInvalid, Step
from kaireon.flows.engine import DefinitionChanged, Hooks, Slice, StepFailed, StepRun
from kaireon.flows.models import FlowCheckpoint, FlowRun, RunTrigger
from kaireon.flows.store import MAX_OUTPUT_BYTES, MemoryStore, OutputNotStorable, OutputTooLarge, PostgresStore, Store
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import Tenant
from tests.cast import ACME, ADA
from tests.flows.conftest import process

SEEN: list[str] = []


def seen(name: str, output: object = None) -> Callable[[StepRun], object]:
    def call(run: StepRun) -> object:
        SEEN.append(name)
        return output if output is not None else {"from": name, **run.inputs}

    return call


def step(name: str, **more: Any) -> Step:
    return Step(name=name, **{"call": seen(name), **more})


@pytest.fixture(autouse=True)
def _clean() -> None:
    SEEN.clear()


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    request.getfixturevalue("db")
    with ADA.here():
        yield PostgresStore()


@pytest.fixture
def run_id(store: Store) -> UUID:
    if isinstance(store, MemoryStore):
        return uuid4()
    with transaction():
        return FlowRun.objects.create(name="test", trigger=RunTrigger.CODE).pk


def failing_once(name: str) -> Callable[[StepRun], object]:
    def call(run: StepRun) -> object:
        SEEN.append(name)
        if SEEN.count(name) == 1:
            raise ConnectionError("not now")
        return {"done": name}

    return call


def test_a_clean_run_does_each_step_once_and_gives_the_outputs(store: Store, run_id: UUID) -> None:
    flow = Flow.linear("f", step("a"), step("b"), step("c"))
    outputs = engine.run(flow, run_id=run_id, store=store)
    assert SEEN == ["a", "b", "c"]
    assert outputs["c"] == {"from": "c", "b": {"from": "b", "a": {"from": "a"}}}
    assert engine.run(flow, run_id=run_id, store=store) == outputs
    assert SEEN == ["a", "b", "c"]


def test_a_retry_skips_what_is_finished_and_reloads_its_output(store: Store, run_id: UUID) -> None:
    flow = Flow.linear("f", step("a", call=seen("a", (1, 2))), step("b", call=failing_once("b")), step("c"))
    with pytest.raises(StepFailed) as failed:
        engine.run(flow, run_id=run_id, store=store)
    assert (failed.value.step, failed.value.permanent) == ("b", False)
    assert isinstance(failed.value.__cause__, ConnectionError)
    outputs = engine.run(flow, run_id=run_id, store=store)
    assert SEEN == ["a", "b", "b", "c"]
    # As it comes back from a store: a tuple is a list in JSON.
    assert outputs == {"a": [1, 2], "b": {"done": "b"}, "c": {"from": "c", "b": {"done": "b"}}}


def test_a_cleared_run_begins_anew(store: Store, run_id: UUID) -> None:
    flow = Flow.linear("f", step("a"), step("b"))
    engine.run(flow, run_id=run_id, store=store)
    engine.clear(run_id=run_id, store=store)
    engine.run(flow, run_id=run_id, store=store)
    assert SEEN == ["a", "b", "a", "b"]


def test_hooks_are_told_before_after_and_of_failures(store: Store, run_id: UUID) -> None:
    told: list[str] = []
    hooks = Hooks(
        before=lambda run, s: told.append(f"before {s.name}"),
        after=lambda run, s, output: told.append(f"after {s.name} {output}"),
        failed=lambda run, s, error: told.append(f"failed {s.name} {type(error).__name__}"),
    )
    flow = Flow.linear("f", step("a", call=seen("a", 1)), step("b", call=failing_once("b")))
    with pytest.raises(StepFailed):
        engine.run(flow, run_id=run_id, store=store, hooks=hooks)
    assert told == ["before a", "after a 1", "before b", "failed b ConnectionError"]
    engine.run(flow, run_id=run_id, store=store, hooks=hooks)
    assert told[4:] == ["before b", "after b {'done': 'b'}"]


def test_a_before_hook_that_raises_keeps_the_step_from_beginning(store: Store, run_id: UUID) -> None:
    told: list[str] = []

    def refuse(run: UUID, s: Step) -> None:
        if s.name == "b" and not told:
            raise PermissionError

    hooks = Hooks(before=refuse, failed=lambda run, s, error: told.append(f"{s.name} {type(error).__name__}"))
    flow = Flow.linear("f", step("a"), step("b"), step("c"))
    with pytest.raises(StepFailed):
        engine.run(flow, run_id=run_id, store=store, hooks=hooks)
    assert (SEEN, told, set(store.load(run_id))) == (["a"], ["b PermissionError"], {"a"})
    engine.run(flow, run_id=run_id, store=store, hooks=hooks)
    assert SEEN == ["a", "b", "c"]


def test_a_hook_is_told_nothing_of_what_was_finished_before(store: Store, run_id: UUID) -> None:
    told: list[str] = []
    flow = Flow.linear("f", step("a"), step("b"))
    engine.run(flow, run_id=run_id, store=store)
    engine.run(flow, run_id=run_id, store=store, hooks=Hooks(before=lambda run, s: told.append(s.name)))
    assert told == []


def test_each_checkpoint_says_which_code_made_it(store: Store, run_id: UUID) -> None:
    flow = Flow.linear("f", step("a"), step("b", version="7", params={"n": 1}))
    engine.run(flow, run_id=run_id, store=store)
    assert {kept.code_version for kept in store.load(run_id).values()} == {flow.code_version}
    assert len(flow.code_version) == 64


def test_what_happened_before_a_large_output_happened_not_at_all(db: str) -> None:
    def rename(run: StepRun) -> str:
        Tenant.objects.filter(pk=ACME).update(name="Renamed")
        return "x" * 50_000_000

    with ADA.here():
        with transaction():
            run = FlowRun.objects.create(name="f", trigger=RunTrigger.CODE)
        with pytest.raises(StepFailed):
            engine.run(Flow.linear("f", step("a", call=rename)), run_id=run.pk, store=PostgresStore())
        with transaction():
            assert Tenant.objects.get(pk=ACME).name == "Acme"
            assert not FlowCheckpoint.objects.exists()


def test_an_after_hook_that_raises_takes_the_step_back(store: Store, run_id: UUID) -> None:
    def refuse(run: UUID, s: Step, output: object) -> None:
        raise ValueError

    flow = Flow.linear("f", step("a"))
    with pytest.raises(StepFailed):
        engine.run(flow, run_id=run_id, store=store, hooks=Hooks(after=refuse))
    assert store.load(run_id) == {}


def test_a_failed_hook_that_raises_hides_no_failure(store: Store, run_id: UUID) -> None:
    def broken(run: UUID, s: Step, error: BaseException) -> None:
        raise ValueError

    with pytest.raises(StepFailed) as failed:
        engine.run(
            Flow.linear("f", step("a", call=failing_once("a"))), run_id=run_id, store=store, hooks=Hooks(failed=broken)
        )
    assert isinstance(failed.value.__cause__, ConnectionError)


def test_a_graph_runs_in_an_order_that_keeps_its_needs(store: Store, run_id: UUID) -> None:
    flow = Flow(
        name="f",
        steps=(
            step("end", needs=("left", "right")),
            step("left", needs=("begin",)),
            step("right", needs=("begin",)),
            step("begin"),
            step("alone"),
        ),
    )
    outputs = engine.run(flow, run_id=run_id, store=store)
    assert SEEN == ["begin", "left", "right", "end", "alone"]
    assert set(outputs["end"]) == {"from", "left", "right"}


@pytest.mark.parametrize(
    "changed",
    [
        Flow.linear("f", step("a"), step("b", version="2")),
        Flow.linear("f", step("a"), step("b", params={"n": 2})),
        Flow.linear("f", step("a"), step("b"), step("c")),
        Flow(name="f", steps=(step("a"), step("b"))),
        Flow.linear("g", step("a"), step("b")),
    ],
)
def test_a_changed_definition_is_refused_with_what_to_do(changed: Flow, store: Store, run_id: UUID) -> None:
    engine.run(Flow.linear("f", step("a"), step("b")), run_id=run_id, store=store)
    SEEN.clear()
    with pytest.raises(DefinitionChanged, match="clear it, or start a new run"):
        engine.run(changed, run_id=run_id, store=store)
    assert SEEN == []


def test_the_same_definition_made_again_is_the_same(store: Store, run_id: UUID) -> None:
    engine.run(Flow.linear("f", step("a", params={"x": 1, "y": 2})), run_id=run_id, store=store)
    engine.run(Flow.linear("f", step("a", params={"y": 2, "x": 1})), run_id=run_id, store=store)
    assert SEEN == ["a"]


def test_fifty_megabytes_are_refused_for_good(store: Store, run_id: UUID) -> None:
    flow = Flow.linear("f", step("big", call=lambda run: "x" * 50_000_000))
    with pytest.raises(StepFailed, match=r"gave 47\.7 MB; a checkpoint takes at most 1 MB") as failed:
        engine.run(flow, run_id=run_id, store=store)
    assert failed.value.permanent
    assert isinstance(failed.value.__cause__, OutputTooLarge)
    assert store.load(run_id) == {}


def test_an_output_of_just_the_limit_is_kept(store: Store, run_id: UUID) -> None:
    text = "é" * ((MAX_OUTPUT_BYTES - 2) // 2)
    assert engine.run(Flow.linear("f", step("a", call=lambda run: text)), run_id=run_id, store=store) == {"a": text}


@pytest.mark.parametrize(
    "output",
    [object(), float("nan"), "a\x00b", {"x": b"bytes"}, "\ud800"],
    ids=["object", "nan", "nul", "bytes", "surrogate"],
)
def test_what_is_not_json_is_refused_for_good(output: object, store: Store, run_id: UUID) -> None:
    with pytest.raises(StepFailed) as failed:
        engine.run(Flow.linear("f", step("a", call=lambda run: output)), run_id=run_id, store=store)
    assert failed.value.permanent
    assert isinstance(failed.value.__cause__, OutputNotStorable)


def test_a_step_in_slices_goes_on_behind_the_last_one(store: Store, run_id: UUID) -> None:
    def call(run: StepRun) -> Generator[Slice, None, object]:
        for n in range(run.position or 0, 5):
            SEEN.append(f"slice {n}")
            if n == 3 and SEEN.count("slice 3") == 1:
                raise ConnectionError
            yield Slice(position=n + 1, share=(n + 1) / 5, rows_in=10, rows_out=9, rows_failed=1)
        return {"n": 5}

    for atomic in (True, False):
        SEEN.clear()
        engine.clear(run_id=run_id, store=store)
        flow = Flow.linear("f", step("a", call=call, atomic=atomic))
        with pytest.raises(StepFailed):
            engine.run(flow, run_id=run_id, store=store)
        half = store.load(run_id)["a"]
        assert (half.done, half.position, half.share, half.rows_in) == (False, 3, 0.6, 30)
        assert engine.run(flow, run_id=run_id, store=store) == {"a": {"n": 5}}
        assert SEEN == ["slice 0", "slice 1", "slice 2", "slice 3", "slice 3", "slice 4"]
        whole = store.load(run_id)["a"]
        assert (whole.done, whole.rows_in, whole.rows_out, whole.rows_failed) == (True, 50, 45, 5)


def test_it_stops_between_two_steps_when_it_is_told(store: Store, run_id: UUID) -> None:
    class Stop(Exception):
        pass

    def check() -> None:
        if SEEN:
            raise Stop

    with pytest.raises(Stop):
        engine.run(Flow.linear("f", step("a"), step("b")), run_id=run_id, store=store, check=check)
    assert SEEN == ["a"]


@pytest.mark.parametrize(
    ("steps", "field"),
    [
        ([], "steps"),
        ([step(f"s{n}") for n in range(MAX_STEPS + 1)], "steps"),
        ([step("a"), step("a")], "steps[1].name"),
        ([step("a/b")], "steps[0].name"),
        ([step("a", needs=("b",))], "steps[0].needs"),
        ([step("a"), step("b", needs=("a", "a"))], "steps[1].needs"),
        ([step("a", needs=("a",))], "steps[0].needs"),
        ([step("a"), step("b", needs=("c",)), step("c", needs=("b",))], "steps[1].needs"),
        ([step("a"), step("b", may_begin=False)], "steps[1].needs"),
    ],
)
def test_a_flow_that_cannot_run_cannot_be_made(steps: list[Step], field: str) -> None:
    with pytest.raises(FlowInvalid) as refused:
        Flow(name="f", steps=tuple(steps))
    assert refused.value.field == field


# A process that does a step's effect and dies before the step's checkpoint is committed: in the way it is told to.
CRASH = """
import os, signal, sys
import django

django.setup()
from uuid import UUID
from kaireon.flows import engine
from kaireon.flows.definition import Flow, Step
from kaireon.flows.engine import Hooks, Slice
from kaireon.flows.store import PostgresStore
from kaireon.tenancy.context import Actor, scope
from kaireon.tenancy.models import ApiKey

run_id, how, where = UUID(sys.argv[1]), sys.argv[2], sys.argv[3]

def die():
    print("dying", flush=True)
    os._exit(9) if how == "exit" else os.kill(os.getpid(), signal.SIGKILL)

def key(name):
    ApiKey.objects.create(name=name, prefix=name, secret_hash="x", role="viewer")

def once(run):
    key("once")
    if where == "effect":
        die()
    return "once"

def slices(run):
    for n in range(run.position or 0, 3):
        key(f"slice{n}")
        if where == "slice" and n == 1:
            die()
        yield Slice(position=n + 1)
    return "slices"

def after(run, step, output):
    if where == "after" and step.name == "once":
        die()

flow = Flow.linear("f", Step(name="once", call=once), Step(name="slices", call=slices))
with scope(tenant_id="acme", actor=Actor.system("crash")):
    engine.run(flow, run_id=run_id, store=PostgresStore(), hooks=Hooks(after=after))
print("finished", flush=True)
"""


@pytest.mark.parametrize("how", ["exit", "kill"])
@pytest.mark.parametrize("where", ["effect", "after", "slice"])
def test_no_effect_happens_twice_when_it_dies_before_the_checkpoint(db: str, where: str, how: str) -> None:
    from kaireon.tenancy.models import ApiKey

    with ADA.here(), transaction():
        run = FlowRun.objects.create(name="f", trigger=RunTrigger.CODE)
    died = process(CRASH, run.pk, how, where)
    assert died.returncode == (9 if how == "exit" else -signal.SIGKILL), died.stderr
    assert "finished" not in died.stdout
    again = process(CRASH, run.pk, how, "nowhere")
    assert again.stdout == "finished\n", again.stderr
    with ADA.here(), transaction():
        made = list(ApiKey.objects.filter(secret_hash="x").order_by("name").values_list("name", flat=True))
        assert made == ["once", "slice0", "slice1", "slice2"]
        assert FlowCheckpoint.objects.filter(run=run, done=True).count() == 2


def test_an_effect_in_the_database_goes_with_its_step(db: str) -> None:
    def rename(run: StepRun) -> None:
        Tenant.objects.filter(pk=ACME).update(name="Renamed")
        raise ConnectionError

    with ADA.here():
        with transaction():
            run = FlowRun.objects.create(name="f", trigger=RunTrigger.CODE)
        with pytest.raises(StepFailed):
            engine.run(Flow.linear("f", step("a", call=rename)), run_id=run.pk, store=PostgresStore())
        with transaction():
            assert Tenant.objects.get(pk=ACME).name == "Acme"


def test_a_checkpoint_costs_four_statements(db: str) -> None:
    """What it takes in time is the bench's to say."""
    flow = Flow.linear("f", *(step(f"s{n}") for n in range(20)))
    with ADA.here():
        with transaction():
            run = FlowRun.objects.create(name="f", trigger=RunTrigger.CODE, created_at=clock.now())
        with CaptureQueriesContext(connection) as asked:
            engine.run(flow, run_id=run.pk, store=PostgresStore())
    assert len(asked) == 4 * (1 + len(flow.steps))
