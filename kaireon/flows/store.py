"""Where checkpoints are kept: in memory, for tests and for flows nobody needs to resume, or in PostgreSQL."""

import copy
import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from kaireon.flows.models import FlowCheckpoint
from kaireon.lib import clock
from kaireon.tenancy.context import transaction

MAX_OUTPUT_BYTES = 1024 * 1024
# As JSON writes it, and not the text of a backslash and what follows.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class OutputTooLarge(ValueError):
    """A step gave more than a checkpoint takes. Keep large data in storage and give a reference to it."""


class OutputNotStorable(ValueError):
    """A step gave something that is not JSON, or holds NUL."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """How far a step is. `position` is its own note of where to go on; `output` counts once it is `done`."""

    step: str
    code_version: str
    done: bool = False
    output: Any = None
    position: Any = None
    share: float = 0.0
    rows_in: int = 0
    rows_out: int = 0
    rows_failed: int = 0
    started_at: datetime | None = None


class Store(Protocol):
    """`save` is called inside `transaction`; what happens in there happens whole or not at all.

    What is loaded is the caller's: changing it changes nothing that is kept.
    """

    def transaction(self) -> AbstractContextManager[None]: ...

    def load(self, run_id: UUID) -> dict[str, Checkpoint]:
        """The run's checkpoints by step."""

    def save(self, run_id: UUID, checkpoint: Checkpoint) -> None:
        """Put a `storable` one in the place of the step's earlier one."""

    def clear(self, run_id: UUID) -> None:
        """Forget the run: it begins anew."""


class MemoryStore:
    """Gone with the process."""

    def __init__(self) -> None:
        self._runs: dict[UUID, dict[str, Checkpoint]] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        before = copy.deepcopy(self._runs)
        try:
            yield
        except BaseException:
            self._runs = before
            raise

    def load(self, run_id: UUID) -> dict[str, Checkpoint]:
        return copy.deepcopy(self._runs.get(run_id, {}))

    def save(self, run_id: UUID, checkpoint: Checkpoint) -> None:
        self._runs.setdefault(run_id, {})[checkpoint.step] = copy.deepcopy(checkpoint)

    def clear(self, run_id: UUID) -> None:
        self._runs.pop(run_id, None)


class PostgresStore:
    """Rows of the active tenant, about a FlowRun that is there."""

    def transaction(self) -> AbstractContextManager[None]:
        return transaction()

    def load(self, run_id: UUID) -> dict[str, Checkpoint]:
        with transaction():
            rows = list(FlowCheckpoint.objects.filter(run_id=run_id))
        return {row.step: Checkpoint(**{name: getattr(row, name) for name in _COLUMNS}) for row in rows}

    def save(self, run_id: UUID, checkpoint: Checkpoint) -> None:
        now = clock.now()
        row = FlowCheckpoint(
            run_id=run_id, updated_at=now, **{**asdict(checkpoint), "started_at": checkpoint.started_at or now}
        )
        FlowCheckpoint.objects.bulk_create(
            [row], update_conflicts=True, update_fields=_MOVES, unique_fields=["tenant", "run", "step"]
        )

    def clear(self, run_id: UUID) -> None:
        with transaction():
            FlowCheckpoint.objects.filter(run_id=run_id).delete()


_COLUMNS = tuple(column.name for column in fields(Checkpoint))
_MOVES = (
    "code_version",
    "done",
    "output",
    "position",
    "share",
    "rows_in",
    "rows_out",
    "rows_failed",
    "updated_at",
)


def storable(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint as it comes back from any store, so that a resumed run sees what the first one saw.

    Raises OutputTooLarge, OutputNotStorable.
    """
    output, position = (_as_kept(checkpoint.step, value) for value in (checkpoint.output, checkpoint.position))
    return replace(checkpoint, output=output, position=position)


def _as_kept(step: str, value: Any) -> Any:
    try:
        said = json.dumps(value, ensure_ascii=False, allow_nan=False)
        size = len(said.encode())
    except (TypeError, ValueError, RecursionError) as e:
        raise OutputNotStorable(f"Step {step!r} gave something that is not JSON text.") from e
    if size > MAX_OUTPUT_BYTES:
        raise OutputTooLarge(
            f"Step {step!r} gave {size / 2**20:.1f} MB; a checkpoint takes at most "
            f"{MAX_OUTPUT_BYTES / 2**20:.0f} MB. Keep the data in storage and give its name."
        )
    if _NUL.search(said):
        raise OutputNotStorable(f"Step {step!r} gave text that holds NUL.")
    return json.loads(said, parse_float=_number)


def _number(text: str) -> int | float:
    # What Python writes with a positive exponent PostgreSQL gives back in all its digits, which is a whole number.
    return int(Decimal(text)) if "e+" in text else float(text)
