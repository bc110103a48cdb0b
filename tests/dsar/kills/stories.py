"""What is killed in its middle. Each story is prepared anew, with an act that whoever comes later goes on with."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from compliance.holding import holds
from customers import models as m
from dsar.erasing import deferrals, gates
from dsar.models import DsarRequest
from dsar.requests import services
from kaireon.approvals import services as approvals
from kaireon.approvals.models import ApprovalRequest
from kaireon.flows.models import FlowRun, RunState
from kaireon.jobs import runner
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.tenancy import tenants
from kaireon.tenancy.context import Actor, scope, transaction
from kaireon.tenancy.roles import Role
from tests.cast import ACME, ADA
from tests.dsar import planted
from tests.dsar.conftest import answer, client, file, make_customer, upload


@dataclass(frozen=True, kw_only=True)
class Told:
    """A story that was prepared: the request it ends with, and what whoever works on it does, as often as needed."""

    filed: services.Filed
    act: Callable[[], object]

    @property
    def request(self) -> DsarRequest:
        with transaction():
            return DsarRequest.objects.get(pk=self.filed.request.pk)


def names(number: int) -> tuple[str, str]:
    return f"K-{number:06}", f"killed-{number:06}@example.com"


def export(number: int) -> Told:
    _customer(number)
    return Told(filed=file("export", names(number)[0]), act=work_off)


def download(number: int) -> Told:
    _customer(number)
    filed = file("export", names(number)[0])
    answer(filed)

    def read() -> None:
        got = client().get(f"/api/v1/dsar/{filed.request.pk}/download?format=zip")
        assert zipfile.ZipFile(io.BytesIO(b"".join(got.streaming_content))).testzip() is None

    return Told(filed=filed, act=read)


def erasure(number: int) -> Told:
    """With files, an earlier dossier, a message, and rows between the steps of a pipeline."""
    who = _customer(number)
    with transaction():
        upload(who, "2.pdf", b"two")
    answer(file("export", who.customer_id))
    return Told(filed=file("delete", who.customer_id), act=work_off)


def of_what_only_names(number: int) -> Told:
    who = _customer(number)
    with transaction():
        # Those of stories before are taken up again by now: each that is not has statements of its own.
        FlowRun.objects.filter(keeps_batches=True).update(state=RunState.DONE, keeps_batches=False)
    run = planted.failed_run()
    planted.name(who, run, f"n{number}")
    return Told(filed=file("delete", who.customer_id), act=work_off)


def deferred(number: int) -> Told:
    who = _customer(number)
    with transaction():
        holds.place_hold(data_class="interactions", reason="litigation", actor=ADA.actor, now=clock.now())
    return Told(filed=file("delete", who.customer_id), act=_until_released)


def _until_released() -> None:
    work_off()
    with transaction():
        if "interactions" in holds.held_classes():
            holds.release_hold(data_class="interactions", actor=ADA.actor, now=clock.now())
    deferrals.resume_due(now=clock.now())
    work_off()


def approved(number: int) -> Told:
    who = _customer(number)
    with transaction():
        approvals.demand_second_person(gates.VERB, demanded=True, now=clock.now())
    bea = _bea(number)
    return Told(filed=file("delete", who.customer_id), act=partial(_agree, bea))


def _agree(bea: Actor) -> None:
    with scope(tenant_id=ACME, actor=bea), transaction():
        asked = ApprovalRequest.objects.pending().filter(verb=gates.VERB).first()
        if asked is not None:
            approvals.decide(request_id=asked.pk, answer="approve", actor=bea, now=clock.now())
    work_off()


def _bea(number: int) -> Actor:
    user = tenants.create_user(email=f"bea-{number}@acme.example", name="Bea", password="", actor=ADA.actor)
    with transaction():
        tenants.add_member(user=user, role=Role.ADMIN)
    return Actor(id=str(user.pk), name="Bea", type="user")


def _customer(number: int) -> m.Customer:
    with transaction():
        return make_customer(*names(number), interactions=2)


def work_off() -> None:
    """What a worker does with all that is due, of whom nobody else is left."""
    with transaction():
        Job.objects.filter(state=JobState.RUNNING).update(lease_until=clock.now())
    while True:
        with transaction():
            due = Job.objects.open().filter(due_at__lte=clock.now(), type__startswith="dsar_")
            job = due.order_by("created_at").first()
        if job is None:
            return
        runner.run(job_id=job.pk)


@dataclass(frozen=True, kw_only=True)
class Story:
    """`loose`: verbs that a second try brings once more, as it should. `objects`: large dossiers, in storage. `stride`:
    how many statements lie between two deaths."""

    prepare: Callable[[int], Told]
    objects: bool = False
    erases: bool = False
    stride: int = 19
    loose: frozenset[str] = frozenset()


STORIES: dict[str, Story] = {
    "a small export": Story(prepare=export, stride=11),
    "a large export": Story(prepare=export, objects=True, loose=frozenset({"object.removed"})),
    "a zip": Story(prepare=download, objects=True, stride=4, loose=frozenset({"dsar.export.downloaded"})),
    "an erasure": Story(prepare=erasure, objects=True, erases=True),
    "an erasure of what only names": Story(prepare=of_what_only_names, erases=True),
    "a deferred erasure": Story(prepare=deferred, erases=True),
    "an approved erasure": Story(prepare=approved, erases=True),
}
