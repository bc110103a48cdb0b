"""A node whose effect shows when it happens twice, and a worker that is killed where it is told."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

BATCH_ROWS = 10


def tally() -> Any:
    """An API key for each row, named after its customer. Nothing keeps two of them from having one name."""
    from kaireon.flows.nodes import Kind, Node, Params, only
    from kaireon.tenancy.models import ApiKey

    def write(params: Params, rows: Sequence[Any]) -> list[Any]:
        for _, row in rows:
            ApiKey.objects.create(name=row["customerId"], prefix=uuid4().hex[:12], secret_hash="tally", role="viewer")
        return []

    return Node(name="tally", kind=Kind.WRITE, help="Counts its rows.", check=only, write=write)


def kill_at(
    owner: Any, name: str, *, call: int = 1, after: bool = True, only: Callable[..., bool] = lambda *given: True
) -> None:
    """Have this process killed by that call of a function, before or after it did its work."""
    there, seen = getattr(owner, name), []

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        mine = only(*args)
        seen.extend([name] * mine)
        if mine and len(seen) == call and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        given = there(*args, **kwargs)
        if mine and len(seen) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return given

    setattr(owner, name, wrapped)


def arm(moment: str) -> None:
    from kaireon.flows import batches, execution, store
    from kaireon.tenancy.models import ApiKey

    def is_result(name: str, content: object) -> bool:
        return name.endswith("out.csv")

    def is_tally(store: object, run_id: object, checkpoint: Any) -> bool:
        return bool(checkpoint.step == "tally")

    match moment:
        case "before anything":
            kill_at(execution, "flow_of", after=False)
        case "while it reads":
            kill_at(batches, "write", call=3)
        case "while it changes":
            kill_at(batches, "write", call=7)
        case "before the file is there":
            kill_at(batches, "put", after=False, only=is_result)
        case "after the file is there":
            kill_at(batches, "put", only=is_result)
        case "inside the effect":
            kill_at(ApiKey, "save", call=15)
        case "between effect and checkpoint":
            kill_at(store.PostgresStore, "save", call=2, after=False, only=is_tally)
        case "between checkpoint and commit":
            kill_at(store.PostgresStore, "save", call=2, only=is_tally)
        case "before the last step's end":
            kill_at(store.PostgresStore, "save", call=5, after=False, only=is_tally)
        case "before the run's end":
            kill_at(execution, "_write_rejects")
        case "inside the run's end":
            kill_at(execution, "_end")
        case "after the run's end":
            kill_at(batches, "drop", after=False)


def main(job_id: UUID, moment: str) -> None:
    import django

    django.setup()
    from customers import flow_nodes
    from kaireon.flows import nodes
    from kaireon.jobs import runner
    from kaireon.tenancy.context import Actor, scope

    flow_nodes.BATCH_ROWS = BATCH_ROWS
    nodes.register(tally())
    arm(moment)
    with scope(tenant_id="acme", actor=Actor.system("worker")):
        runner.run(job_id=job_id)
    sys.stdout.write("finished\n")
