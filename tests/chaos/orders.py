"""The pieces of work, and how each is ordered: in one transaction, under a name by which it is found again.

An order whose commit was cut off may have happened or not. It is looked up, and given again only when it did not.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import InterfaceError, OperationalError, connections
from django_celery_beat.models import IntervalSchedule

from audit.services import record
from cron import beat_rows
from dsar.requests import services as dsar
from kaireon.flows import pipelines
from kaireon.flows.models import Pipeline, RunTrigger
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job
from kaireon.jobs.tasks import SWEEP_SECONDS
from kaireon.lib import clock
from kaireon.outbox import destinations
from kaireon.outbox import services as outbox
from kaireon.outbox.models import Message
from kaireon.outbox.streams import key
from kaireon.tenancy import tenants
from kaireon.tenancy.context import Actor, platform_scope, scope, transaction
from tests.chaos.work import FILES, HOOK, STREAM, TOPIC
from tests.dsar.conftest import make_customer

TENANTS = ("north", "south", "east")
CLERK = Actor.system("clerk")
STREAM_NAME = "events"
BATCHES, ROWS = 4, 5  # of every flow
ORDERED_KEYS = 3  # a tenant
# Jobs that outlast their lease, and the seconds each takes.
LONG_ONES, LONG = 2, 7

# Of a hundred orders.
MIX = {
    "effect": 19,
    "telling": 9,
    "moody": 3,
    "export": 12,
    "erasure": 8,
    "hook": 14,
    "ordered": 8,
    "stream": 6,
    "file": 6,
    "flow": 15,
}


@dataclass
class Order:
    """One piece of work. `name` is unique, and the request id of all that comes of it."""

    kind: str
    tenant: str
    name: str
    number: int
    committed: bool = False
    unsure: bool = False

    @property
    def subject(self) -> str:
        """The customer that an export or erasure is about."""
        return f"C-{self.name}"


def orders(rng: random.Random, count: int) -> list[Order]:
    """So many orders in the proportions of MIX, shuffled."""
    kinds = ["long"] * LONG_ONES
    kinds += [kind for kind, share in MIX.items() for _ in range(max(1, round(share * count / 100)))]
    while len(kinds) < count:
        kinds.append("effect")
    rng.shuffle(kinds)
    made = []
    numbers: Counter[str] = Counter()
    for kind in kinds[:count]:
        numbers[kind] += 1
        made.append(
            Order(kind=kind, tenant=rng.choice(TENANTS), name=f"{kind}-{numbers[kind]:04}", number=numbers[kind])
        )
    return made


def furnish(ordered: list[Order], hook_url: str) -> None:
    """Tenants, their destinations, and the customers that the orders speak of."""
    for tenant in TENANTS:
        tenants.create_tenant(tenant_id=tenant, name=tenant.title(), actor=CLERK)
        with scope(tenant_id=tenant, actor=CLERK), transaction():
            for name, kind, given, secret in (
                (HOOK, "webhook", {"url": hook_url}, "a-secret-of-this-run-only"),
                (STREAM, "stream", {"stream": STREAM_NAME}, None),
                (FILES, "object", {"prefix": "chaos"}, None),
            ):
                destinations.save(name=name, kind=kind, given=given, secret=secret, now=clock.now())
            for order in ordered:
                if order.tenant == tenant and order.kind in ("export", "erasure"):
                    make_customer(order.subject, f"{order.name}@example.com")


def hurry() -> None:
    """As an operator may have it: what is due is looked for oftener."""
    beat_rows.install()
    with platform_scope(actor=CLERK), transaction():
        IntervalSchedule.objects.filter(every=SWEEP_SECONDS).update(every=2)


def streams() -> list[str]:
    return [key(tenant, STREAM_NAME) for tenant in TENANTS]


def give(order: Order) -> bool:
    """Order it, in one transaction. False when the database is away; ask again then, as often as you like."""
    try:
        with scope(tenant_id=order.tenant, actor=CLERK, request_id=order.name):
            if not (order.unsure and _is_there(order)):
                order.unsure = True
                with transaction():
                    wake = _GIVE[order.kind](order)
                # From here on it must happen, whatever dies.
                order.committed = True
                wake()
        order.committed = True
    except (OperationalError, InterfaceError):
        connections.close_all()
    return order.committed


def _is_there(order: Order) -> bool:
    with transaction():
        if order.kind == "flow":
            return Pipeline.objects.filter(name=order.name).exists()
        model = Message if order.kind in _SENT else Job
        return model.objects.filter(request_id=order.name).exists()


Wake = Callable[[], Any]


def _job(order: Order) -> Wake:
    payload: dict[str, Any] = {"item": order.name, "ms": 50 * (order.number % 10)}
    if order.kind != "effect":
        payload["tell" if order.kind == "telling" else "moody"] = True
    job = jobs.enqueue(type="chaos_effect", payload=payload, now=clock.now())
    return lambda: jobs.wake(job)


def _long_job(order: Order) -> Wake:
    job = jobs.enqueue(type="chaos_long", payload={"item": order.name, "seconds": LONG}, now=clock.now())
    return lambda: jobs.wake(job)


def _request(order: Order) -> Wake:
    kind = "export" if order.kind == "export" else "delete"
    filed = dsar.create_request(request_type=kind, subject_id=order.subject, actor=CLERK, now=clock.now())
    return lambda: dsar.wake(filed)


def _message(order: Order) -> Wake:
    ordering_key = f"key-{order.number % ORDERED_KEYS}" if order.kind == "ordered" else ""
    payload = {"item": order.name, "n": order.number, "text": "x" * (17 * order.number % 500)}
    message = outbox.publish(
        topic=TOPIC, destination=_SENT[order.kind], payload=payload, ordering_key=ordering_key, now=clock.now()
    )
    # A record of the same transaction, to be found for every message that is.
    record(action="chaos.order", entity_type="Order", entity_id=order.name)
    return lambda: outbox.wake(message)


_SENT = {"hook": HOOK, "ordered": HOOK, "stream": STREAM, "file": FILES}


def _flow(order: Order) -> Wake:
    numbers = {"item": order.name, "batches": BATCHES, "rows": ROWS}
    steps = [
        {"name": "read", "node": "chaos_numbers", "params": numbers},
        {"name": "masked", "node": "mask", "params": {"columns": ["phone"]}, "needs": ["read"]},
        {"name": "effects", "node": "chaos_effects", "needs": ["masked"]},
        {"name": "people", "node": "write_entity", "params": {"entity": "customers"}, "needs": ["read"]},
        {
            "name": "file",
            "node": "write_file",
            "params": {"file": f"out/{order.name}.ndjson", "format": "ndjson"},
            "needs": ["masked"],
        },
    ]
    pipeline = pipelines.create(name=order.name, definition={"steps": steps}, actor=CLERK, now=clock.now())
    _, job = pipelines.start(pipeline, trigger=RunTrigger.CODE, now=clock.now())
    return lambda: pipelines.wake(job)


_GIVE: dict[str, Callable[[Order], Wake]] = {
    "effect": _job,
    "telling": _job,
    "moody": _job,
    "long": _long_job,
    "export": _request,
    "erasure": _request,
    "hook": _message,
    "ordered": _message,
    "stream": _message,
    "file": _message,
    "flow": _flow,
}
