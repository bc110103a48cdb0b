"""Making a flow of a pipeline's definition: each step a call of its node, over the batches of the steps before."""

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

from kaireon.flows import batches, nodes
from kaireon.flows.definition import Flow, FlowInvalid, Step, chained
from kaireon.flows.engine import Permanent, Slice, StepRun
from kaireon.flows.models import FlowRun
from kaireon.flows.nodes import Kind, Node, ParamInvalid, UnknownNode
from kaireon.lib.canonical import NotCanonical, canonical
from kaireon.tenancy.context import transaction

MAX_DEFINITION_BYTES = 256 * 1024

_STEP_KEYS = {"name", "node", "params", "needs"}


class BatchesGone(Permanent):
    """What earlier steps of this run left in storage is gone. Start a new run."""


def build(name: str, definition: Any) -> Flow:
    """The flow of a definition, `{"steps": [{"name", "node", "params"?, "needs"?}]}`.

    Where no step says what it needs, each needs the one before. Raises FlowInvalid, whose `field` is a path in it.
    """
    entries = _entries(definition)
    steps = tuple(_step(f"steps[{index}]", entry) for index, entry in enumerate(entries))
    if not any("needs" in entry for entry in entries):
        steps = chained(steps)
    flow = Flow(name=name, steps=steps)
    needed = {need for step in steps for need in step.needs}
    for index, step in enumerate(steps):
        kind = nodes.get(step.kind).kind
        if kind == Kind.LOAD and step.needs:
            raise FlowInvalid(f"steps[{index}].needs", "a loading step begins: it needs no other.")
        if kind in (Kind.WRITE, Kind.WRITE_FILE) and step.name in needed:
            raise FlowInvalid(f"steps[{index}]", f"{step.name!r} writes: it gives no rows to another step.")
        if kind in (Kind.LOAD, Kind.PURE) and step.name not in needed:
            raise FlowInvalid(f"steps[{index}]", f"{step.name!r} leads nowhere: no step needs its rows.")
    return flow


def _entries(definition: Any) -> list[dict[str, Any]]:
    if not isinstance(definition, dict) or set(definition) != {"steps"} or not isinstance(definition["steps"], list):
        raise FlowInvalid("", 'must be {"steps": […]}.')
    try:
        if len(canonical(definition)) > MAX_DEFINITION_BYTES:
            raise FlowInvalid("", f"must be at most {MAX_DEFINITION_BYTES // 1024} KB.")
    except NotCanonical as e:
        raise FlowInvalid("", "holds numbers that JSON cannot carry, or is nested too deeply.") from e
    entries: list[dict[str, Any]] = definition["steps"]
    for index, entry in enumerate(entries):
        _check_entry(f"steps[{index}]", entry)
    return entries


def _check_entry(place: str, entry: Any) -> None:
    if not isinstance(entry, dict):
        raise FlowInvalid(place, "must be an object.")
    if unknown := next((key for key in entry if key not in _STEP_KEYS), None):
        raise FlowInvalid(f"{place}.{unknown[:64]}", f"unknown field; known are {', '.join(sorted(_STEP_KEYS))}.")
    for key in ("name", "node"):
        if not isinstance(entry.get(key), str):
            raise FlowInvalid(f"{place}.{key}", "must be text.")
    if not isinstance(entry.get("params", {}), dict):
        raise FlowInvalid(f"{place}.params", "must be an object.")
    needs = entry.get("needs", [])
    if not isinstance(needs, list) or not all(isinstance(need, str) for need in needs):
        raise FlowInvalid(f"{place}.needs", "must be a list of step names.")


def _step(place: str, entry: Mapping[str, Any]) -> Step:
    params = entry.get("params", {})
    try:
        node = nodes.get(entry["node"])
        node.check(params)
    except UnknownNode as e:
        raise FlowInvalid(f"{place}.node", str(e.args[0])) from e
    except ParamInvalid as e:
        raise FlowInvalid(f"{place}.params.{e.field}", str(e)) from e
    return Step(
        name=entry["name"],
        call=_CALLS[node.kind](node, params),
        needs=tuple(entry.get("needs", ())),
        version=node.version,
        kind=node.name,
        params=params,
        atomic=node.kind == Kind.WRITE or node.in_transaction,
        may_begin=node.kind == Kind.LOAD,
    )


Call = Callable[[StepRun], Generator[Slice, None, dict[str, Any]]]


def _loading(node: Node, params: Mapping[str, Any]) -> Call:
    def call(run: StepRun) -> Generator[Slice, None, dict[str, Any]]:
        assert node.load is not None  # noqa: S101  by its kind
        number, at = run.position or (0, None)
        for loaded in node.load(params, at):
            batches.write(run.run_id, run.step.name, number, loaded.rows)
            batches.write_rejects(run.run_id, run.step.name, number, loaded.rejects)
            number += 1
            yield Slice(
                position=[number, loaded.position],
                share=loaded.share,
                rows_in=len(loaded.rows) + len(loaded.rejects),
                rows_out=len(loaded.rows),
                rows_failed=len(loaded.rejects),
            )
        return {"batches": number}

    return call


def _changing(node: Node, params: Mapping[str, Any]) -> Call:
    def call(run: StepRun) -> Generator[Slice, None, dict[str, Any]]:
        assert node.transform is not None  # noqa: S101
        change = node.transform(params)
        done = run.position or 0
        sources = _sources(run)
        for number in range(done, len(sources)):
            rows = _read(run, sources[number])
            out: list[batches.Numbered] = []
            refused: list[batches.Reject] = []
            for line, row in rows:
                try:
                    changed = change(row)
                except nodes.RowRefused as e:
                    refused.append(batches.Reject(line, e.field[:64], str(e)))
                else:
                    if changed is not None:
                        out.append((line, changed))
            batches.write(run.run_id, run.step.name, number, out)
            batches.write_rejects(run.run_id, run.step.name, number, refused)
            yield _slice(number, sources, len(rows), len(out), len(refused))
        return {"batches": len(sources)}

    return call


def _storing(node: Node, params: Mapping[str, Any]) -> Call:
    def call(run: StepRun) -> Generator[Slice, None, dict[str, Any]]:
        assert node.write is not None  # noqa: S101
        sources = _sources(run)
        for number in range(run.position or 0, len(sources)):
            rows = _read(run, sources[number])
            refused = node.write(params, rows)
            batches.write_rejects(run.run_id, run.step.name, number, refused)
            lines = {reject.line for reject in refused}
            yield _slice(number, sources, len(rows), len(rows) - len(lines), len(lines))
        return {"batches": len(sources)}

    return call


def _filing(node: Node, params: Mapping[str, Any]) -> Call:
    """The whole file at once: begun again after a crash, it comes out the same."""

    def call(run: StepRun) -> Generator[Slice, None, dict[str, Any]]:
        assert node.write_file is not None  # noqa: S101
        sources = _sources(run)
        counted: list[int] = []

        def rows() -> Iterator[list[batches.Numbered]]:
            for source in sources:
                found = _read(run, source)
                counted.append(len(found))
                yield found

        name = ""
        for name in node.write_file(params, str(run.run_id), rows()):
            if not name:
                yield Slice(share=len(counted) / len(sources), rows_in=counted[-1], rows_out=counted[-1])
        return {"file": name, "batches": len(sources)}

    return call


_CALLS: dict[Kind, Callable[[Node, Mapping[str, Any]], Call]] = {
    Kind.LOAD: _loading,
    Kind.PURE: _changing,
    Kind.WRITE: _storing,
    Kind.WRITE_FILE: _filing,
}


def _sources(run: StepRun) -> list[tuple[str, int]]:
    return [(need, number) for need in run.step.needs for number in range(run.inputs[need]["batches"])]


def _read(run: StepRun, source: tuple[str, int]) -> list[batches.Numbered]:
    try:
        return batches.read(run.run_id, *source)
    except FileNotFoundError:
        return _read_again(run, source)


def _read_again(run: StepRun, source: tuple[str, int]) -> list[batches.Numbered]:
    """Somebody who is erased may be taken out of the batch at this moment: whoever does that holds the run's row."""
    try:
        with transaction():
            FlowRun.objects.select_for_update().filter(pk=run.run_id).first()
            return batches.read(run.run_id, *source)
    except FileNotFoundError as e:
        raise BatchesGone("What earlier steps left in storage is gone: start a new run.") from e


def _slice(number: int, sources: list[tuple[str, int]], rows_in: int, rows_out: int, rows_failed: int) -> Slice:
    return Slice(
        position=number + 1,
        share=(number + 1) / len(sources),
        rows_in=rows_in,
        rows_out=rows_out,
        rows_failed=rows_failed,
    )
