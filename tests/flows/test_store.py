"""What a store of checkpoints promises, tried on each: in memory and in PostgreSQL."""

import math
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaireon.flows import engine
from kaireon.flows.definition import Flow, Step
from kaireon.flows.engine import Slice, StepFailed, StepRun
from kaireon.flows.models import FlowCheckpoint, FlowRun, RunTrigger
from kaireon.flows.store import (
    MAX_OUTPUT_BYTES,
    Checkpoint,
    MemoryStore,
    OutputNotStorable,
    OutputTooLarge,
    PostgresStore,
    Store,
    storable,
)
from kaireon.lib import clock
from kaireon.tenancy.context import scope, transaction
from tests.cast import ACME, ADA, GLOBEX, MALLORY

MADE = clock.at("09:00")


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    request.getfixturevalue("db")
    with ADA.here():
        yield PostgresStore()


def new_run(store: Store) -> UUID:
    if isinstance(store, MemoryStore):
        return uuid4()
    with transaction():
        return FlowRun.objects.create(name="test", trigger=RunTrigger.CODE).pk


def point(step: str = "a", **more: Any) -> Checkpoint:
    return storable(Checkpoint(step=step, code_version="v1", started_at=MADE, **more))


def save(store: Store, run_id: UUID, *checkpoints: Checkpoint) -> None:
    with store.transaction():
        for checkpoint in checkpoints:
            store.save(run_id, checkpoint)


def test_a_run_nobody_knows_has_no_checkpoints(store: Store) -> None:
    assert store.load(uuid4()) == {}


def test_what_is_saved_is_loaded_to_the_last_field(store: Store) -> None:
    run_id = new_run(store)
    whole = point(
        done=True,
        output={"n": [1, None, True, "é 🎉"]},
        position=[3, {"after": "x"}],
        share=0.25,
        rows_in=2**40,
        rows_out=7,
        rows_failed=3,
    )
    save(store, run_id, whole, point("b"))
    assert store.load(run_id) == {"a": whole, "b": point("b")}


def test_a_step_has_one_checkpoint_and_keeps_when_it_began(store: Store) -> None:
    run_id = new_run(store)
    save(store, run_id, point(position=1))
    save(store, run_id, point(position=2, done=True, output=0))
    assert store.load(run_id) == {"a": point(position=2, done=True, output=0)}
    if isinstance(store, PostgresStore):
        with transaction():
            assert FlowCheckpoint.objects.get().started_at == MADE


def test_a_transaction_that_breaks_keeps_what_was_there_before(store: Store) -> None:
    run_id = new_run(store)
    save(store, run_id, point(position=1))
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.save(run_id, point(position=2))
        store.save(run_id, point("b"))
        raise ZeroDivisionError
    assert store.load(run_id) == {"a": point(position=1)}


def test_an_inner_transaction_that_breaks_takes_only_its_own_part(store: Store) -> None:
    run_id = new_run(store)
    with store.transaction():
        store.save(run_id, point())
        with pytest.raises(ZeroDivisionError), store.transaction():
            store.save(run_id, point("b"))
            raise ZeroDivisionError
    assert set(store.load(run_id)) == {"a"}


def test_clearing_takes_one_run_and_no_other(store: Store) -> None:
    first, second = new_run(store), new_run(store)
    save(store, first, point(), point("b"))
    save(store, second, point())
    store.clear(first)
    store.clear(first)
    assert (store.load(first), set(store.load(second))) == ({}, {"a"})


def test_what_was_loaded_is_the_callers_to_change(store: Store) -> None:
    run_id = new_run(store)
    given_ = point(output={"rows": [1]}, position=[1])
    save(store, run_id, given_)
    given_.output["rows"].append(2)
    loaded = store.load(run_id)["a"]
    loaded.output["rows"].append(3)
    loaded.position.append(2)
    store.load(run_id).clear()
    kept = store.load(run_id)["a"]
    assert (kept.output, kept.position) == ({"rows": [1]}, [1])


def test_a_step_that_alters_its_inputs_alters_them_for_nobody_else(store: Store) -> None:
    """Else a run in one piece and a run that was resumed would see different things."""
    seen: list[Any] = []

    def greedy(run: StepRun) -> None:
        run.inputs["a"]["rows"].clear()
        seen.append("greedy")
        if len(seen) == 1:
            raise ConnectionError

    flow = Flow(
        name="f",
        steps=(
            Step(name="a", call=lambda run: {"rows": [1, 2]}),
            Step(name="greedy", call=greedy, needs=("a",)),
            Step(name="reader", call=lambda run: seen.append(run.inputs["a"]), needs=("a", "greedy")),
        ),
    )
    run_id = new_run(store)
    with pytest.raises(StepFailed):
        engine.run(flow, run_id=run_id, store=store)
    assert engine.run(flow, run_id=run_id, store=store)["a"] == {"rows": [1, 2]}
    assert seen == ["greedy", "greedy", {"rows": [1, 2]}]


def test_a_hook_that_alters_an_output_alters_what_is_kept_for_nobody(store: Store) -> None:
    flow = Flow.linear("f", Step(name="a", call=lambda run: [1]), Step(name="b", call=lambda run: run.inputs["a"]))
    run_id = new_run(store)
    hooks = engine.Hooks(after=lambda run_id, step, output: output.append("more"))
    assert engine.run(flow, run_id=run_id, store=store, hooks=hooks) == {"a": [1], "b": [1]}
    assert engine.run(flow, run_id=run_id, store=store) == {"a": [1], "b": [1]}


_NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXT | st.just("\\u0000"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(output=_JSON)
def test_an_output_comes_back_as_the_first_run_saw_it(output: Any, store: Store) -> None:
    run_id = new_run(store)
    flow = Flow.linear("f", Step(name="a", call=lambda run: output))
    first = engine.run(flow, run_id=run_id, store=store)
    again = engine.run(flow, run_id=run_id, store=store)
    assert again == first


@pytest.mark.parametrize("where", ["output", "position"])
@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("x" * 50_000_000, OutputTooLarge),
        ("é" * (MAX_OUTPUT_BYTES // 2), OutputTooLarge),
        ("a\x00b", OutputNotStorable),
        ("\\\x00", OutputNotStorable),
        ({"\x00": 1}, OutputNotStorable),
        ("\ud800", OutputNotStorable),
        (math.inf, OutputNotStorable),
        (b"", OutputNotStorable),
    ],
    ids=["50 MB", "just over", "nul", "nul behind a backslash", "nul in a key", "surrogate", "infinity", "bytes"],
)
def test_what_no_store_could_keep_is_refused_before_it_is_tried(where: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error) as refused:
        point(**{where: value})
    assert "'a'" in str(refused.value)
    assert len(str(refused.value)) < 200


def test_the_text_of_an_escape_is_not_the_character(store: Store) -> None:
    run_id = new_run(store)
    save(store, run_id, point(output="\\u0000", position=["\\\\u0000"]))
    assert (store.load(run_id)["a"].output, store.load(run_id)["a"].position) == ("\\u0000", ["\\\\u0000"])


def test_a_position_of_fifty_megabytes_is_refused_for_good(store: Store) -> None:
    def call(run: StepRun) -> Iterator[Slice]:
        yield Slice(position=1)
        yield Slice(position="x" * 50_000_000)

    run_id = new_run(store)
    for atomic in (True, False):
        store.clear(run_id)
        with pytest.raises(StepFailed, match="at most 1 MB") as failed:
            engine.run(
                Flow.linear("f", Step(name="a", call=call, atomic=atomic)),
                run_id=run_id,
                store=store,
            )
        assert failed.value.permanent
        assert store.load(run_id)["a"].position == 1


def test_another_tenants_checkpoints_are_not_there(db: str) -> None:
    store = PostgresStore()
    with ADA.here():
        run_id = new_run(store)
        save(store, run_id, point())
    with MALLORY.here():
        assert store.load(run_id) == {}
        store.clear(run_id)
    with ADA.here():
        assert set(store.load(run_id)) == {"a"}
    assert (ACME, GLOBEX) == ("acme", "globex")
    with scope(tenant_id=GLOBEX, actor=MALLORY.actor), pytest.raises(IntegrityError):
        save(store, run_id, point())
