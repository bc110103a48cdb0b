"""Who takes the steps: `python -m tests.bench.flows.stepper`, told in JSON lines.

`{"prepare": tenant id}`, `{"walk": contestant, "steps": n}`. Each step writes one row, durably.
"""

import os
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from statistics import median
from typing import Any
from uuid import uuid4

import django
import psycopg

from tests.bench.talker import answer

_EFFECT = "bench_effect"
# A flow has at most a hundred.
STEPS_A_RUN = 25


def main() -> None:
    django.setup()
    from django.db import connection

    from kaireon.flows import engine
    from kaireon.flows.definition import Flow, Step
    from kaireon.flows.execution import FencedStore
    from kaireon.flows.models import FlowRun, RunState, RunTrigger
    from kaireon.flows.store import PostgresStore, Store
    from kaireon.tenancy import tenants
    from kaireon.tenancy.context import Actor, scope, transaction
    from kaireon.tenancy.rls import APP

    system = Actor.system("bench")
    known: dict[str, str] = {}
    moments: list[float] = []

    def prepare(tenant: str) -> None:
        known["tenant"] = tenant
        tenants.create_tenant(tenant_id=tenant, name="Tenant", actor=system)
        with psycopg.connect(os.environ["OWNER_DATABASE_URL"], autocommit=True) as owner:
            owner.execute(f"CREATE TABLE public.{_EFFECT} (step integer NOT NULL, at timestamptz DEFAULT now())")
            owner.execute(f"GRANT INSERT ON public.{_EFFECT} TO {APP}")

    def effect(number: int) -> dict[str, int]:
        moments.append(time.perf_counter())
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO public.{_EFFECT} (step) VALUES (%s)", [number])
        return {"step": number, "rows": 1000}

    def bare() -> None:
        for number in range(STEPS_A_RUN):
            with transaction():
                effect(number)

    def step(number: int) -> Step:
        return Step(name=f"step-{number}", call=lambda _run: effect(number))

    flow = Flow.linear("bench", *(step(number) for number in range(STEPS_A_RUN)))

    def kept(store_of: Callable[[FlowRun], Store]) -> Callable[[], None]:
        def walk() -> None:
            with transaction():
                run = FlowRun.objects.create(
                    name="bench", trigger=RunTrigger.CODE, state=RunState.RUNNING, holder=uuid4()
                )
            moments.clear()
            engine.run(flow, run_id=run.pk, store=store_of(run))

        return walk

    walks: dict[str, Callable[[], None]] = {
        "bare": bare,
        "postgres": kept(lambda _run: PostgresStore()),
        "fenced": kept(lambda run: FencedStore(run.pk, run.holder)),
    }

    def respond(order: dict[str, Any]) -> dict[str, Any]:
        if "prepare" in order:
            prepare(order["prepare"])
            return {}
        with scope(tenant_id=known["tenant"], actor=system):
            return {"step_ms": median(_between(walks[order["walk"]], moments, runs=order["steps"] // STEPS_A_RUN))}

    answer(respond)


def _between(walk: Callable[[], None], moments: list[float], *, runs: int) -> Iterator[float]:
    """From the beginning of each step to that of the next, so with all that ends the one and begins the other."""
    for _ in range(runs):
        moments.clear()
        walk()
        yield from ((after - before) * 1000 for before, after in pairwise(moments))


if __name__ == "__main__":
    main()
