"""A checkpoint in storage is the one that was signed; whatever gets in the way, the next run tries again."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from audit import checkpoints, notes, publication, services, signing
from audit.models import Publication
from cron import runner
from cron.models import Trigger
from kaireon.lib import clock
from kaireon.ops import gauges
from kaireon.tenancy.context import PLATFORM, scope, transaction
from tests.audit.log import write
from tests.cast import ACME, ADA, GLOBEX

pytestmark = pytest.mark.usefixtures("db")


def made(tenant: str = ACME) -> notes.Checkpoint:
    write(3, tenant=tenant)
    services.drain(tenant)
    checkpoint = checkpoints.make(tenant)
    assert checkpoint is not None
    return checkpoint


def published(tenant: str = ACME) -> list[str]:
    with scope(tenant_id=tenant, actor=ADA.actor), transaction():
        return list(Publication.objects.order_by("tree_size").values_list("object_name", flat=True))


def figure(name: str) -> float:
    return next(s.value for metric in gauges.audit() for s in metric.samples if s.name == name)


def test_the_object_is_the_signed_note() -> None:
    checkpoint = made()
    with ADA.here():
        row = publication.publish()
    assert row is not None
    assert published() == [publication.object_name(row)]
    with default_storage.open(publication.object_name(row)) as stored:
        note = notes.Note.parse(stored.read().decode())
    with ADA.here(), transaction():
        note.check(signing.public_key(signing.keys(ACME)[0]))
    assert notes.Checkpoint.parse(note.text) == checkpoint
    with ADA.here():
        assert publication.publish() is None


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_an_object_that_a_crash_left_is_finished(share: float) -> None:
    """The process died in the middle of the object, or between the object and the row."""
    made()
    with ADA.here():
        with transaction():
            waiting = publication.unpublished()
        assert waiting is not None
        note = waiting.note.encode()
        default_storage.save(publication.object_name(waiting), ContentFile(note[: int(len(note) * share)]))
        assert publication.publish() == waiting
    assert len(published()) == 1


@pytest.mark.parametrize("change", [lambda note: b"x", lambda note: note + b"more", lambda note: note[:-3] + b"==\n"])
def test_an_object_that_says_something_else_is_never_taken_for_it(change: Any) -> None:
    made()
    with ADA.here():
        with transaction():
            waiting = publication.unpublished()
        assert waiting is not None
        default_storage.save(publication.object_name(waiting), ContentFile(change(waiting.note.encode())))
        with pytest.raises(publication.PublishedOtherwise):
            publication.publish()
    assert published() == []


def test_storage_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made()

    def full(*_: object) -> str:
        raise OSError("No space left on device")

    with ADA.here():
        with monkeypatch.context() as broken:
            broken.setattr(type(default_storage._wrapped), "_save", full)  # type: ignore[attr-defined]
            with pytest.raises(OSError, match="No space"):
                publication.publish()
        assert publication.publish() is not None


def test_the_job_publishes_every_log_and_tells_whose_failed() -> None:
    for tenant in (ACME, GLOBEX, PLATFORM):
        made(tenant)
    with ADA.here(), transaction():
        waiting = publication.unpublished()
    assert waiting is not None
    default_storage.save(publication.object_name(waiting), ContentFile(b"something else"))

    ran = runner.run_job("audit-publish", trigger=Trigger.COMMAND)
    assert not ran.ok
    by_tenant = {entry["tenantId"]: entry for entry in ran.body["perTenant"]}
    assert by_tenant[ACME]["errors"] == ["PublishedOtherwise"]
    assert by_tenant[GLOBEX]["published"] > 0
    assert ran.body["platform"] > 0
    assert published(GLOBEX)
    assert published(PLATFORM)


def test_the_gauges_tell_what_has_not_left_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    for tenant in (ACME, GLOBEX, PLATFORM):
        services.drain(tenant)
    made(ACME)
    assert figure("kaireon_audit_unpublished_checkpoints") == 1
    with ADA.here():
        publication.publish()
    assert figure("kaireon_audit_unpublished_checkpoints") == 0
    assert figure("kaireon_audit_unpublished_seconds") == 0

    write(1, tenant=ACME)
    services.drain(ACME)
    later = clock.now() + timedelta(seconds=900)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert figure("kaireon_audit_checkpoint_age_seconds") >= 890
