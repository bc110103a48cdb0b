"""A checkpoint in storage is the one that was signed; whatever gets in the way, the next run tries again."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from audit import checks, services
from audit.models import Publication
from audit.tree import checkpoints, notes, publication, signing
from cron import runner
from cron.models import Trigger
from kaireon import home
from kaireon.lib import clock
from kaireon.ops import gauges
from kaireon.outbox import destinations, webhooks
from kaireon.outbox.sending import Refused
from kaireon.outbox.signatures import is_genuine
from kaireon.tenancy.context import PLATFORM, scope, transaction
from tests.audit.log import write
from tests.cast import ACME, ADA, GLOBEX
from tests.outbox.conftest import SECRET, Receiver, receiver_on, say

pytestmark = pytest.mark.usefixtures("db")


def made(tenant: str = ACME) -> notes.Checkpoint:
    write(3, tenant=tenant)
    services.drain(tenant)
    checkpoint = checkpoints.make(tenant)
    assert checkpoint is not None
    return checkpoint


def published(tenant: str = ACME) -> list[str]:
    with scope(tenant_id=tenant, actor=ADA.actor), transaction():
        rows = Publication.objects.filter(channel="storage").order_by("tree_size")
        return list(rows.values_list("object_name", flat=True))


def left_by(tenant: str = ACME) -> set[str]:
    """The channels by which the newest checkpoint left."""
    with scope(tenant_id=tenant, actor=ADA.actor), transaction():
        newest = checkpoints.newest(tenant)
        assert newest is not None
        return set(Publication.objects.filter(tree_size=newest.tree_size).values_list("channel", flat=True))


@pytest.fixture
def webhook(db: str, settings: Any) -> Iterator[Receiver]:
    """The operator has one, and it listens."""
    with receiver_on() as here:
        settings.AUDIT_PUBLISH_URL, settings.AUDIT_PUBLISH_SECRET = here.url, SECRET
        settings.ALLOW_PRIVATE_DESTINATIONS = True
        webhooks._pool.cache_clear()
        yield here


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


def test_a_webhook_that_is_away_shows_until_it_was_told(webhook: Receiver) -> None:
    for tenant in (ACME, GLOBEX, PLATFORM):
        services.drain(tenant)
    checkpoint = made()
    webhook.answers = [say(503)]
    with ADA.here(), pytest.raises(Refused, match="http_503"):
        publication.publish()
    assert left_by() == {"storage"}, "one channel does not wait for another"
    assert figure("kaireon_audit_unpublished_checkpoints") == 1

    with ADA.here():
        row = publication.publish()
        assert publication.publish() is None
    assert row is not None
    assert left_by() == {"storage", "webhook"}
    assert figure("kaireon_audit_unpublished_checkpoints") == 0

    first, second = webhook.got
    assert (first.id, first.body) == (second.id, second.body), "the receiver knows it for the same"
    assert is_genuine(
        secret=SECRET.encode(),
        message_id=second.id,
        signature=second.headers["Kaireon-Signature"],
        body=second.body,
        now=int(clock.now().timestamp()),
    )
    said = json.loads(second.body)
    assert (said["topic"], said["tenantId"]) == ("audit.checkpoint", ACME)
    assert (said["data"]["treeSize"], said["data"]["rootHash"]) == (checkpoint.size, checkpoint.root.hex())
    assert said["data"]["origin"] == checkpoint.origin
    note = notes.Note.parse(said["data"]["checkpoint"])
    with ADA.here(), transaction():
        key = signing.public_key(signing.keys(ACME)[0])
    note.check(key)
    assert said["data"]["keyId"] == key.key_id.hex()


def test_storage_that_fails_holds_up_no_webhook(webhook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    made()

    def full(*_: object) -> str:
        raise OSError("No space left on device")

    with monkeypatch.context() as broken, ADA.here():
        broken.setattr(type(default_storage._wrapped), "_save", full)  # type: ignore[attr-defined]
        with pytest.raises(OSError, match="No space"):
            publication.publish()
    assert left_by() == {"webhook"}


def test_the_job_tells_the_operator_of_every_log(webhook: Receiver) -> None:
    for tenant in (ACME, GLOBEX, PLATFORM):
        made(tenant)
    assert runner.run_job("audit-publish", trigger=Trigger.COMMAND).ok
    assert {json.loads(got.body)["tenantId"] for got in webhook.got} == {ACME, GLOBEX, PLATFORM}


def test_a_tenant_has_its_checkpoints_sent_to_its_own_destination(settings: Any) -> None:
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    webhooks._pool.cache_clear()
    for tenant in (ACME, GLOBEX, PLATFORM):
        made(tenant)
    with receiver_on() as receiver:
        own(kind="webhook", given={"url": receiver.url}, secret=SECRET)
        assert figure("kaireon_audit_unpublished_checkpoints") == 3
        assert runner.run_job("audit-publish", trigger=Trigger.COMMAND).ok
        assert [json.loads(got.body)["tenantId"] for got in receiver.got] == [ACME]
    assert left_by(ACME) == {"storage", "destination"}
    assert left_by(GLOBEX) == {"storage"}
    assert figure("kaireon_audit_unpublished_checkpoints") == 0


def test_a_destination_that_is_off_is_owed_nothing_and_mail_carries_none() -> None:
    made()
    own(kind="email", given={}, enabled=False)
    with ADA.here():
        assert publication.publish() is not None
        own(kind="email", given={})
        with pytest.raises(Refused, match="kind_cannot_carry_it"):
            publication.publish()
    assert left_by() == {"storage"}


def own(*, kind: str, given: dict[str, str], secret: str | None = None, enabled: bool = True) -> None:
    with ADA.here(), transaction():
        destinations.save(
            name=publication.DESTINATION, kind=kind, given=given, secret=secret, enabled=enabled, now=clock.now()
        )


def test_the_home_page_names_a_checkpoint_that_stays() -> None:
    made()
    assert "left the database" not in noted()
    with clock.freeze(clock.now() + timedelta(minutes=6)):
        assert "The newest checkpoint of the audit log has not left the database" in noted()
        with ADA.here():
            publication.publish()
        assert "left the database" not in noted()


def noted() -> str:
    with ADA.here(), transaction():
        return " ".join(note.text for note in home.log_panel()["notes"])


def test_an_address_that_cannot_be_published_to_is_named_before_it_starts(settings: Any) -> None:
    settings.ALLOW_PRIVATE_DESTINATIONS = False
    for url, secret in (
        ("http://example.com/hook", SECRET),
        ("example.com", SECRET),
        ("https://user:word@example.com/", SECRET),
        ("https://example.com/hook", "short"),
    ):
        settings.AUDIT_PUBLISH_URL, settings.AUDIT_PUBLISH_SECRET = url, secret
        [error] = checks.checkpoints_have_an_address(None)
        assert error.id == "kaireon.E040", url
    settings.AUDIT_PUBLISH_URL, settings.AUDIT_PUBLISH_SECRET = "https://example.com/hook", SECRET
    assert checks.checkpoints_have_an_address(None) == []
