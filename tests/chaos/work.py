"""What the workers of a chaos run do: work whose effects can be counted. Imported by them and by who orders it.

An effect is a row that nothing keeps from being written twice: only the product's own care does.
"""

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import connection

from kaireon.flows import nodes
from kaireon.flows.batches import Numbered, Reject
from kaireon.flows.nodes import Kind, Loaded, Node
from kaireon.jobs.registry import job_type
from kaireon.jobs.runner import JobError, JobRun
from kaireon.lib import clock
from kaireon.outbox import services as outbox
from kaireon.outbox import topics
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction, transaction

TABLE = """
CREATE TABLE public.chaos_effect (tenant_id text NOT NULL, name text NOT NULL);
GRANT SELECT, INSERT ON public.chaos_effect TO kaireon_app;
"""
TOPIC = "chaos.event"
HOOK, STREAM, FILES = "hook", "stream", "files"

topics.register(
    TOPIC,
    schema={
        "type": "object",
        "properties": {"item": {"type": "string"}, "n": {"type": "integer"}, "text": {"type": "string"}},
        "required": ["item", "n"],
        "additionalProperties": False,
    },
)


@requires_transaction
def effect(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO public.chaos_effect VALUES (%s, %s)", [context.tenant_id(), name])


@job_type("chaos_effect", queue="batch-jobs")
def chaos_effect(run: JobRun) -> None:
    """An effect, slowly; with `tell` a message about it, with `moody` only at the second try."""
    if run.payload.get("moody") and not run.job.failures:
        raise JobError("moody")
    with transaction():
        effect(run.payload["item"])
        time.sleep(run.payload["ms"] / 1000)
        if run.payload.get("tell"):
            said = {"item": run.payload["item"], "n": 0}
            outbox.publish(topic=TOPIC, destination=HOOK, payload=said, now=clock.now())
        run.finish()


@job_type("chaos_long", queue="retrain-jobs", time_limit=120)
def chaos_long(run: JobRun) -> None:
    """Longer than a lease, looking up now and then whether it is still wanted."""
    end = time.monotonic() + run.payload["seconds"]
    while time.monotonic() < end:
        run.check()
        time.sleep(0.1)
    with transaction():
        effect(run.payload["item"])
        run.finish()


@job_type("chaos_poison", queue="batch-jobs")
def chaos_poison(run: JobRun) -> None:
    """Takes its process down, after it has said that it was here."""
    with transaction():
        effect("poison")
    os.kill(os.getpid(), signal.SIGKILL)


def _numbers(params: nodes.Params, position: Any) -> Iterator[Loaded]:
    for batch in range(position or 0, params["batches"]):
        yield Loaded(
            rows=[(line, _person(params["item"], line)) for line in _lines(batch, params["rows"])],
            rejects=[],
            position=batch + 1,
            share=(batch + 1) / params["batches"],
        )


def _lines(batch: int, rows: int) -> range:
    return range(batch * rows, (batch + 1) * rows)


def _person(item: str, line: int) -> Mapping[str, Any]:
    return {
        "customerId": f"{item}-{line}",
        "email": f"{item}-{line}@example.com",
        "phone": f"+44 20 7946 {line:04}",
        "name": "Jane Doe",
    }


def _write_effects(params: nodes.Params, rows: Sequence[Numbered]) -> list[Reject]:
    for _, row in rows:
        effect(row["customerId"])
    return []


nodes.register(
    Node(
        name="chaos_numbers",
        kind=Kind.LOAD,
        help="So many batches of made-up people.",
        check=lambda params: nodes.only(params, "item", "batches", "rows", required=("item", "batches", "rows")),
        load=_numbers,
    )
)
nodes.register(
    Node(
        name="chaos_effects",
        kind=Kind.WRITE,
        help="An effect for every row.",
        check=nodes.only,
        write=_write_effects,
    )
)
