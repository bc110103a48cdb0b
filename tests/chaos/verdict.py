"""What must be true at the end. Every function gives the faults it found, a line each."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from audit import services as audit_log
from audit.verification.verify import verify
from kaireon.tenancy.context import PLATFORM, Actor, scope, transaction
from tests.chaos import settled
from tests.chaos.orders import BATCHES, ROWS, TENANTS, Order
from tests.chaos.receivers import Inbox
from tests.chaos.stage import Stage

_MESSAGES = ("hook", "ordered", "stream", "file")
_EFFECTS = ("effect", "telling", "moody", "long")
# What each kind of order leaves in the log, under the order's own name as request id: every one of them exactly once.
_VERBS = {
    "export": ("dsar.create", "dsar.export.completed"),
    "erasure": ("dsar.create", "dsar.erasure.rows_erased", "dsar.erasure.completed"),
    **dict.fromkeys(_MESSAGES, ("chaos.order",)),
}

_REQUESTS = """
SELECT j.request_id, r.status, r.outcome, (SELECT count(*) FROM dsar_dossier d WHERE d.request_id = r.id)
  FROM dsar_dsarrequest r JOIN jobs_job j ON j.id = r.job_ref
"""
_RUNS = """
SELECT r.name, r.state, r.rows_in, r.rows_out, r.rows_failed,
       (SELECT count(*) FROM flows_flowcheckpoint c WHERE c.run_id = r.id AND c.done),
       (SELECT count(*) FROM customers_customer p
         WHERE p.tenant_id = r.tenant_id AND starts_with(p.customer_id, r.name || '-'))
  FROM flows_flowrun r
"""


class Verdict:
    """Reads everything as the superuser, past the walls, and through none of the product's own queries."""

    def __init__(self, stage: Stage, orders: list[Order], hook: Inbox, stream: Inbox) -> None:
        self._stage = stage
        self._orders = orders
        self._hook = hook
        self._stream = stream

    def faults(self) -> list[str]:
        with self._stage.superuser() as connection:
            self._connection = connection
            return [
                *(f"not settled: {line}" for line in settled.unsettled(self._stage)),
                *self._ordered(),
                *self._effects(),
                *self._jobs(),
                *self._requests(),
                *self._messages(),
                *self._in_order(),
                *self._flows(),
                *self._dead_letters(),
                *self._records(),
                *settled.left_lying(self._stage),
                *_logs(),
            ]

    def _rows(self, query: str, *given: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, given).fetchall()  # type: ignore[arg-type]

    def _counts(self, query: str, *given: Any) -> Counter[Any]:
        """The last column by the one before it, or by all that are before it."""
        return Counter({key[0] if len(key) == 1 else tuple(key): n for *key, n in self._rows(query, *given)})

    def _of(self, *kinds: str) -> list[Order]:
        return [order for order in self._orders if order.kind in kinds]

    def _ordered(self) -> Iterable[str]:
        return (f"{order.name} was never ordered" for order in self._orders if not order.committed)

    def _effects(self) -> Iterable[str]:
        """Each effect in its tenant, exactly once, and no other."""
        wanted = Counter({(order.tenant, order.name): 1 for order in self._of(*_EFFECTS)})
        for order in self._of("flow"):
            wanted.update((order.tenant, f"{order.name}-{line}") for line in range(BATCHES * ROWS))
        found = self._counts("SELECT tenant_id, name, count(*) FROM chaos_effect GROUP BY 1, 2")
        return _compared("effect", wanted, found)

    def _jobs(self) -> Iterable[str]:
        """One row for each job that was ordered, done."""
        wanted = Counter(order.name for order in self._of(*_EFFECTS, "export", "erasure"))
        found = self._counts(
            "SELECT request_id, count(*) FROM jobs_job WHERE state = 'done' AND type <> 'pipeline_execute' GROUP BY 1"
        )
        yield from _compared("job", wanted, found)
        for name, kind, error in self._rows("SELECT request_id, type, error FROM jobs_job WHERE state = 'failed'"):
            yield f"job {kind} of {name} failed with {error!r}"

    def _requests(self) -> Iterable[str]:
        found = {name: row for name, *row in self._rows(_REQUESTS)}
        left = {
            (tenant, number) for tenant, number in self._rows("SELECT tenant_id, customer_id FROM customers_customer")
        }
        for order in self._of("export", "erasure"):
            packages = 1 if order.kind == "export" else 0
            if found.get(order.name) != ["completed", "completed", packages]:
                yield f"request {order.name}: {found.get(order.name)}"
            if ((order.tenant, order.subject) in left) != (order.kind == "export"):
                yield f"{order.name}: its customer is {'gone' if order.kind == 'export' else 'still there'}"

    def _messages(self) -> Iterable[str]:
        """One message for each order and for each job that tells; delivered, at least once, the same each time."""
        wanted = Counter(order.name for order in self._of(*_MESSAGES, "telling"))
        found = self._counts("SELECT request_id, count(*) FROM outbox_message WHERE state = 'done' GROUP BY 1")
        yield from _compared("message", wanted, found)
        ids = defaultdict(set)
        for message_id, kind in self._rows(
            "SELECT m.id, d.kind FROM outbox_message m JOIN outbox_destination d ON d.id = m.destination_id"
        ):
            ids[kind].add(str(message_id))
        for kind, inbox in (("webhook", self._hook), ("stream", self._stream)):
            yield from (f"{kind}: {one} never came" for one in ids[kind] - set(inbox.bodies))
            yield from (f"{kind}: {one} came, and nobody sent it" for one in set(inbox.bodies) - ids[kind])
            yield from (f"{kind}: {one} came with two bodies" for one in inbox.changed)
            yield from (
                f"{kind}: {one} speaks of another"
                for one, body in inbox.bodies.items()
                if json.loads(body)["id"] != one
            )
            yield from _compared(f"{kind}: what it is about", _named(wanted, kind, self._orders), _told(inbox))
        files = {path.stem: path for path in (self._stage.objects / "outbox").rglob("*.json")}
        yield from (f"object: {one} is not there" for one in ids["object"] - set(files))
        yield from (
            f"object: {one} is not whole"
            for one, path in files.items()
            if json.loads(path.read_bytes() or b"{}").get("id") != one
        )

    def _in_order(self) -> Iterable[str]:
        """Messages of one key came, the first time each, in the order of their publication."""
        came = {one: n for n, one in enumerate(self._hook.order)}
        keys: dict[tuple[str, str], list[int]] = defaultdict(list)
        for tenant, key, message_id in self._rows(
            "SELECT tenant_id, ordering_key, id FROM outbox_message WHERE ordering_key <> '' ORDER BY position"
        ):
            if str(message_id) in came:
                keys[tenant, key].append(came[str(message_id)])
        return (f"{tenant} {key}: out of order" for (tenant, key), places in keys.items() if places != sorted(places))

    def _flows(self) -> Iterable[str]:
        rows = BATCHES * ROWS
        found = {name: row for name, *row in self._rows(_RUNS)}
        for order in self._of("flow"):
            # Three of its steps write.
            if found.get(order.name) != ["done", rows, 3 * rows, 0, 5, rows]:
                yield f"flow {order.name}: {found.get(order.name)}"
            file = self._stage.objects / "flows" / order.tenant / "out" / f"{order.name}.ndjson"
            lines = file.read_text().splitlines() if file.exists() else []
            if [json.loads(line)["customerId"] for line in lines] != [f"{order.name}-{n}" for n in range(rows)]:
                yield f"flow {order.name}: its file has {len(lines)} lines"
        if len(found) != len(self._of("flow")):
            yield f"{len(found)} runs for {len(self._of('flow'))} flows"

    def _dead_letters(self) -> Iterable[str]:
        for queue, topic, error in self._rows(
            "SELECT queue, topic, error_type FROM outbox_deadletter WHERE state = 'open'"
        ):
            yield f"dead letter of {queue}: {topic}, {error}"

    def _records(self) -> Iterable[str]:
        """The log tells of each effect, once."""
        wanted = Counter((order.name, verb) for order in self._orders for verb in _VERBS.get(order.kind, ()))
        verbs = sorted({verb for group in _VERBS.values() for verb in group})
        found = self._counts(
            "SELECT request_id, action, count(*) FROM audit_record WHERE action = ANY(%s) GROUP BY 1, 2", verbs
        )
        yield from _compared("record", wanted, found)
        for order in self._of("flow"):
            [(people, records)] = self._rows(
                "SELECT count(DISTINCT entity_id), count(*) FROM audit_record WHERE tenant_id = %s AND request_id = %s"
                " AND entity_type = 'Customer'",
                order.tenant,
                order.name,
            )
            if (people, records) != (BATCHES * ROWS, BATCHES * ROWS):
                yield f"flow {order.name}: {records} records of {people} customers"


def _logs() -> Iterable[str]:
    """Every log by the verifier, which derives each hash anew."""
    for tenant in (*TENANTS, PLATFORM):
        audit_log.drain(tenant)
        with scope(tenant_id=tenant, actor=Actor.system("verdict")), transaction():
            found = verify()
        if not found.intact or found.verified != found.total:
            yield f"log of {tenant}: {found.as_wire()}"


def _compared(what: str, wanted: Counter[Any], found: Counter[Any]) -> Iterable[str]:
    for one in sorted(wanted.keys() | found.keys(), key=str):
        if wanted[one] != found[one]:
            yield f"{what} {one}: {found[one]} times, not {wanted[one]}"


def _named(wanted: Counter[str], kind: str, orders: list[Order]) -> Counter[str]:
    """The orders whose message goes to that kind of destination."""
    kinds = {"webhook": ("hook", "ordered", "telling"), "stream": ("stream",)}[kind]
    return Counter(order.name for order in orders if order.kind in kinds and wanted[order.name])


def _told(inbox: Inbox) -> Counter[str]:
    """What a receiver that deduplicates on the id was told, by order."""
    return Counter(json.loads(body)["data"]["item"] for body in inbox.bodies.values())
