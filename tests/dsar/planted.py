"""Jane and her neighbour John, alike in everything, with rows wherever the product may hold something of a person."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from rest_framework.response import Response

from compliance.detection import signals
from compliance.models import SecuritySignal
from customers import models as m
from customers.catalogue import CATALOGUE
from dsar.models import DsarRequest
from kaireon.api import cache
from kaireon.flows import batches
from kaireon.flows.models import FlowCheckpoint, FlowRun, Pipeline, RunState, RunTrigger
from kaireon.jobs import runner
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.outbox import archive, dead_letters, destinations
from kaireon.outbox import services as outbox
from kaireon.outbox.models import ArchiveKey, DeadLetter, Destination, Payload
from kaireon.tenancy import idempotency
from kaireon.tenancy.context import tenant_id, transaction
from kaireon.tenancy.models import IdempotencyKey
from tests.cast import ADA
from tests.dsar.conftest import EMAIL, NUMBER, answer, file, make_customer

DEVICE = "device-4711-family"
# As like as can be: a longer number, the same house, the same device.
NEIGHBOUR, NEIGHBOURS_EMAIL = f"{NUMBER}0", "john.doe@example.com"
# Tables in which others' rows may not change by a byte. What an erasure writes itself is in others.
TABLES = (
    *sorted({entity.table for entity in CATALOGUE} - {"dsar_dsarrequest"}),
    *("outbox_message", "outbox_deadletter", "flows_flowrun", "flows_flowcheckpoint", "tenancy_idempotencykey"),
    "compliance_securitysignal",
    *("dsar_dsarrequest", "flows_pipeline", "outbox_destination"),
)


@dataclass(kw_only=True)
class Planted:
    """The ids of what names a person in its contents alone, by whom; `own` is published about them."""

    payloads: list[UUID] = field(default_factory=list)
    own: list[UUID] = field(default_factory=list)
    archive_keys: list[UUID] = field(default_factory=list)
    checkpoints: list[UUID] = field(default_factory=list)
    answers: list[UUID] = field(default_factory=list)
    notes: list[UUID] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class World:
    jane: m.Customer
    john: m.Customer
    hers: Planted
    his: Planted
    run: FlowRun
    objects: list[str]


def plant() -> World:
    """In Ada's scope. Each has the same, so that what is taken from one is there to be taken from the other."""
    with transaction():
        john = make_customer(NEIGHBOUR, NEIGHBOURS_EMAIL)
        jane = make_customer()
        for who in (jane, john):
            m.IdentityLink.objects.create(customer=who, kind="device", value=DEVICE)
        objects = [str(name) for name in m.Attachment.objects.filter(customer=jane).values_list("file", flat=True)]
    run = failed_run()
    with transaction():
        about_nobody = _checkpoint(run, "load", {"batches": 1}, [3, None])
    rows = [(1, _row(jane)), (2, _row(john)), (3, {"note": "about nobody"})]
    batches.write(run.pk, "load", 0, rows)
    # Written by a worker that ended before it could note it.
    batches.write(run.pk, "mask", 0, rows)
    hers, his = name(jane, run, "a"), name(john, run, "b")
    hers.lines, his.lines = [1], [2, 3]
    his.checkpoints.append(about_nobody)
    for who in (john, jane):
        answer(file(subject_id=who.customer_id))
        answer(file(subject_id=who.email, subject_type="email", encrypt=True))
    return World(jane=jane, john=john, hers=hers, his=his, run=run, objects=objects)


def failed_run() -> FlowRun:
    """One that can be taken up again, of a pipeline of two steps; and where mails go."""
    now = clock.now()
    with transaction():
        if not Destination.objects.exists():
            destinations.save(name="letters", kind="email", given={}, now=now)
        steps = {"steps": [{"name": "load"}, {"name": "mask"}]}
        pipeline, _ = Pipeline.objects.get_or_create(name="nightly", defaults={"definition": steps})
        return FlowRun.objects.create(
            pipeline=pipeline,
            name="nightly",
            trigger=RunTrigger.API,
            state=RunState.FAILED,
            keeps_batches=True,
            finished_at=now,
        )


def name(who: m.Customer, run: FlowRun, step: str) -> Planted:
    said, now = Planted(), clock.now()
    with transaction():
        said.payloads = [
            _mail(who.email, "Hello"),
            _mail("staff@example.org", f"About https://shop.example/customers/{who.customer_id}/orders"),
            _letter({"customerId": who.customer_id, "n": 1}),
            _letter({"deep": [{"nobody": 1, "contact": [f"<{who.email.title()}>"]}]}),
            _letter({"ref": str(who.pk)}),
        ]
        said.own = [_mail(who.email, "About you", subject_ref=who.pk)]
        said.checkpoints = [
            _checkpoint(run, f"{step}1", {"last": who.email}, None),
            _checkpoint(run, f"{step}2", None, {"after": [who.customer_id]}),
        ]
        said.notes = [
            _note(f"Asked about {who.email}: it was us."),
            _note(f"See /customers/{who.customer_id}."),
        ]
        gone = _letter({"customer": who.customer_id, "email": who.email})
    list(archive.archive_waiting(now=now, to=archive.place()))
    with transaction():
        # Archived and purged: what it says stands in the archive alone.
        [letter] = DeadLetter.objects.filter(source_ref=gone)
        dead_letters.purge(DeadLetter.objects.filter(pk=letter.pk), now=now)
        assert not Payload.objects.filter(pk=gone).exists()
        letters = DeadLetter.objects.filter(source_ref__in=[*said.payloads, gone]).values("pk")
        said.archive_keys = list(ArchiveKey.objects.filter(letter_ref__in=letters).values_list("pk", flat=True))
        assert len(said.archive_keys) == 4
    for key, answered in ((f"1-{who.pk}", {"customerId": who.customer_id}), (f"2-{who.pk}", [{"to": who.email}])):
        claimed = idempotency.claim(principal="ada", key=key, fingerprint="f" * 64)
        with transaction():
            claimed.answer(Response(answered, status=201))
        said.answers.append(claimed.row.pk)
    assert cache.put(cache.DECISION, who.customer_id, {"email": who.email}, tenant_id=tenant_id())
    assert cache.put(cache.FEATURE, "opaque", {"of": str(who.pk)}, tenant_id=tenant_id())
    return said


def _row(who: m.Customer) -> dict[str, Any]:
    return {"customerId": who.customer_id, "email": who.email}


def _mail(to: str, text: str, **more: Any) -> UUID:
    payload = {"to": [to], "subject": "News", "text": text}
    return outbox.publish(topic="mail", destination="letters", payload=payload, now=clock.now(), **more).pk


def _letter(payload: dict[str, Any]) -> UUID:
    ref = uuid4()
    dead_letters.add(
        source="decision",
        source_ref=ref,
        queue="decisions",
        topic="decide",
        error_type="timeout",
        permanent=False,
        attempts=3,
        now=clock.now(),
        payload=payload,
    )
    return ref


def _checkpoint(run: FlowRun, step: str, output: Any, position: Any) -> UUID:
    now = clock.now() - timedelta(minutes=1)
    row = FlowCheckpoint.objects.create(
        run=run, step=step, code_version="1", output=output, position=position, started_at=now, updated_at=now
    )
    return row.pk


def _note(text: str) -> UUID:
    now = clock.now()
    mark = uuid4()
    row = SecuritySignal.objects.create(
        kind="mass_erasure", severity="page", record_id=mark, occurred_at=now, raised_at=now, fingerprint=mark.hex
    )
    signals.acknowledge(signal=row, note=text, actor=ADA.actor, now=now)
    return row.pk


def work_off() -> None:
    """What a worker does with all that is due."""
    while True:
        with transaction():
            job = Job.objects.filter(state=JobState.QUEUED, due_at__lte=clock.now()).order_by("created_at").first()
        if job is None:
            return
        runner.run(job_id=job.pk)


def left(model: Any, ids: list[UUID]) -> int:
    with transaction():
        return int(model.objects.filter(pk__in=ids).count())


def kept_answers(ids: list[UUID]) -> int:
    with transaction():
        return IdempotencyKey.objects.filter(pk__in=ids, answer__isnull=False).count()


def kept_notes(ids: list[UUID]) -> int:
    with transaction():
        return SecuritySignal.objects.filter(pk__in=ids, note_sealed__isnull=False).count()


def hers_by_table(world: World) -> dict[str, set[str]]:
    """The ids of all rows that are Jane's, before they go."""
    with transaction():
        found = {e.table: {str(pk) for pk in e.about(world.jane.pk).values_list("pk", flat=True)} for e in CATALOGUE}
        found["dsar_dsarrequest"] |= {
            str(pk) for pk in DsarRequest.objects.values_list("pk", flat=True) if _is_hers(pk)
        }
    for table, ids in (
        ("outbox_payload", world.hers.payloads),
        ("outbox_archivekey", world.hers.archive_keys),
        ("flows_flowcheckpoint", world.hers.checkpoints),
        ("tenancy_idempotencykey", world.hers.answers),
        ("compliance_securitysignal", world.hers.notes),
    ):
        found.setdefault(table, set()).update(map(str, ids))
    return found


def _is_hers(pk: UUID) -> bool:
    return DsarRequest.objects.get(pk=pk).subject_id in (NUMBER, EMAIL)


def hashes(superuser_url: str, hers: dict[str, set[str]]) -> dict[str, tuple[int, str]]:
    """Of each table the rows that are not hers: how many, and a hash over all. Past all that is under test."""
    with psycopg.connect(superuser_url) as root:
        return {
            table: root.execute(
                f"SELECT count(*), md5(coalesce(string_agg(t::text, chr(10) ORDER BY t.id::text), ''))"
                f" FROM public.{table} t WHERE NOT t.id::text = ANY(%s)",
                [sorted(hers.get(table, ()))],
            ).fetchone()
            for table in TABLES
        }
