"""The journal of erasures: outside the database, in order, naming nobody, and an erasure is not finished before it."""

import json
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection

from audit import services as audit_log
from audit.tree import checkpoints, publication
from customers import models as m
from customers.subjects import number_key
from dsar.erasing import steps
from dsar.journal import entries, writing
from dsar.models import DsarRequest, ErasureEntry
from kaireon.api import written_once
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.lib.canonical import canonical
from kaireon.outbox import webhooks
from kaireon.outbox.sending import Refused
from kaireon.tenancy.context import PLATFORM, scope, transaction
from tests.cast import ACME, SETUP
from tests.dsar.conftest import EMAIL, NUMBER, SECRETS, again, answer, file, make_customer
from tests.outbox.conftest import SECRET, receiver_on, say
from tests.s3 import Bucket


def told(number: int) -> dict[str, Any]:
    with transaction():
        name = entries.entry_name(number)
        content = written_once.read(name)
        assert content is not None, name
        return entries.opened(content, form=entries.ENTRY, name=name)


def objects() -> list[str]:
    return written_once.names_after(f"erasures/{ACME}")


def test_every_erasure_that_took_rows_is_told_in_order_by_key_and_chained(jane: m.Customer) -> None:
    with transaction():
        bob = make_customer("C-18", "bob@example.com")
        make_customer("C-19", "bob@example.com")
        ids = {str(jane.pk), str(bob.pk)}
    first, second = answer(file("delete")), answer(file("delete", "C-18"))
    nobody = answer(file("delete", "C-404"))
    assert (first.outcome, second.outcome, nobody.outcome) == ("completed", "completed", "no_data")
    assert objects() == [f"{n:018d}.json" for n in (1, 2)]
    one, two = told(1), told(2)
    assert (one["previous"], one["requestId"], one["number"]) == (None, str(first.pk), 1)
    raw = written_once.read(f"erasures/{ACME}/{1:018d}.json")
    assert raw is not None
    assert two["previous"] == entries.digest(raw)
    assert one["counts"]["deleted"]["interactionHistory"] == 3
    with transaction():
        [said] = one["subjects"]
        assert said["ref"] == entries.ref_key()(str(jane.pk))
        assert said["number"] == number_key(NUMBER)
        assert said["email"]
        # Of an address that somebody else has too it says nothing.
        assert two["subjects"][0]["email"] is None
        assert list(ErasureEntry.objects.in_order().values_list("number", flat=True)) == [1, 2]
        assert not ErasureEntry.objects.unwritten().exists()
    text = raw.decode()
    assert not [secret for secret in (*SECRETS, NUMBER, EMAIL, *ids) if secret in text]


def test_an_erasure_is_not_finished_before_the_journal_says_so(
    jane: m.Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed = file("delete")
    with transaction():
        make_customer("C-18", "bob@example.com")

    def full(*_: object) -> str:
        raise OSError("No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(type(default_storage._wrapped), "_save", full)  # type: ignore[attr-defined]
        first = answer(filed)
        assert (first.state, first.status) == ("finishing", "processing")
        assert _step(filed.request)["error"] == "journal_not_written"
        # Another one of the tenant waits behind it as well: numbers have no gaps outside.
        second = file("delete", "C-18")
        assert answer(second).state == "finishing"
    assert objects() == []
    with transaction():
        Job.objects.filter(pk=second.job.pk).update(due_at=clock.now())
    # The second brings out both, the first finds that done.
    assert answer(second).outcome == "completed"
    assert objects() == [f"{n:018d}.json" for n in (1, 2)]
    with transaction():
        Job.objects.filter(pk=filed.job.pk).update(due_at=clock.now())
    assert answer(filed).outcome == "completed"
    assert told(1)["requestId"] == str(filed.request.pk)


def test_a_journal_that_says_something_else_is_never_written_over(jane: m.Customer) -> None:
    """As when the database is older than its journal, and nobody noticed."""
    name = f"erasures/{ACME}/{1:018d}.json"
    default_storage.save(name, ContentFile(b"{}"))
    filed = file("delete")
    answer(filed)
    row = again(filed)
    assert (row.status, row.error) == ("failed", "journal_contradicted")
    assert written_once.read(name) == b"{}"


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_an_object_that_a_crash_left_is_finished(share: float, jane: m.Customer) -> None:
    with transaction():
        row = writing.note(request_id=jane.pk, subjects=[], counts={}, now=clock.now())
        name = entries.entry_name(row.number)
    default_storage.save(name, ContentFile(row.content[: int(len(row.content) * share)]))
    assert writing.write() == 1
    assert written_once.read(name) == bytes(row.content)
    assert writing.write() == 0


def test_what_an_entry_says_cannot_be_changed_or_taken_away(jane: m.Customer) -> None:
    answer(file("delete"))
    for statement in ("UPDATE dsar_erasureentry SET number = 7", "DELETE FROM dsar_erasureentry"):
        with pytest.raises(DatabaseError), transaction(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_what_is_no_entry_of_ours_is_told_from_one(jane: m.Customer) -> None:
    answer(file("delete"))
    raw = written_once.read(f"erasures/{ACME}/{1:018d}.json")
    assert raw is not None
    forged = json.loads(raw) | {"requestId": "x"}
    with transaction():
        for change, why in (
            (b"", "only a part"),
            (raw[:-9], "only a part"),
            (b"[]", "only a part"),
            (raw.replace(b'"number":1', b'"number":2'), "seal does not hold"),
            (json.dumps(forged).encode(), "seal does not hold"),
            # The same facts in other bytes are not what the next entry's hash is of.
            (json.dumps(json.loads(raw)).encode(), "seal does not hold"),
            (raw.replace(b'"mac":"v1:', b'"mac":"v9:'), "SEALING_KEYS"),
        ):
            with pytest.raises(entries.JournalBroken, match=why):
                entries.opened(change, form=entries.ENTRY, name="x")
        with pytest.raises(entries.JournalBroken, match="somewhere else"):
            entries.opened(raw, form=entries.STATEMENT, name="x")
    with scope(tenant_id="globex", actor=SETUP), transaction(), pytest.raises(entries.JournalBroken):
        entries.opened(raw, form=entries.ENTRY, name="x")


def test_each_published_checkpoint_says_how_many_erasures_there_were(jane: m.Customer) -> None:
    answer(file("delete"))
    audit_log.drain(ACME)
    checkpoint = checkpoints.make(ACME)
    assert checkpoint is not None
    # One was begun, and its process killed.
    name = f"erasures/{ACME}/at/{checkpoint.size:018d}.json"
    default_storage.save(name, ContentFile(b'{"form'))
    published = publication.publish()
    assert published is not None
    with transaction():
        content = written_once.read(name)
        assert content is not None
        said = entries.opened(content, form=entries.STATEMENT, name=name)
    assert (said["number"], said["treeSize"]) == (1, checkpoint.size)
    with scope(tenant_id=PLATFORM, actor=SETUP):
        audit_log.drain(PLATFORM)
        checkpoints.make(PLATFORM)
        assert publication.publish() is not None
    assert written_once.names_after(f"erasures/{PLATFORM}/at") == []


def test_webhooks_get_each_entry_in_order_and_again_until_they_took_it(jane: m.Customer, settings: Any) -> None:
    answer(file("delete"))
    with transaction():
        make_customer("C-18", "bob@example.com")
    answer(file("delete", "C-18"))
    assert writing.send() == 0
    with receiver_on() as here:
        settings.AUDIT_PUBLISH_URL, settings.AUDIT_PUBLISH_SECRET = here.url, SECRET
        settings.ALLOW_PRIVATE_DESTINATIONS = True
        webhooks._pool.cache_clear()
        here.answers = [say(503)]
        with pytest.raises(Refused):
            writing.send()
        assert (writing.send(), writing.send()) == (2, 0)
        bodies = [json.loads(got.body) for got in here.got]
    assert [body["data"]["number"] for body in bodies] == [1, 1, 2]
    assert {body["topic"] for body in bodies} == {"dsar.erasure"}
    assert bodies[0] == bodies[1]
    assert bodies[2]["data"]["entry"].encode() == written_once.read(f"erasures/{ACME}/{2:018d}.json")


def test_a_bucket_holds_it_as_a_folder_does(s3: Bucket, jane: m.Customer) -> None:
    answer(file("delete"))
    with transaction():
        make_customer("C-18", "bob@example.com")
    answer(file("delete", "C-18"))
    assert [name for name in s3.names() if name.startswith("erasures/")] == [
        f"erasures/{ACME}/{n:018d}.json" for n in (1, 2)
    ]
    assert written_once.names_after(f"erasures/{ACME}", f"{1:018d}.json") == [f"{2:018d}.json"]
    assert written_once.names_after("erasures", "") == []
    assert told(2)["number"] == 2


def _step(request: DsarRequest) -> dict[str, Any]:
    with transaction():
        [said] = steps.of([request.pk]).values()
    return next(step for step in said if step["name"] == "journal")


def test_a_seal_beyond_ascii_is_a_broken_one(jane: m.Customer) -> None:
    answer(file("delete"))
    with transaction():
        row = ErasureEntry.objects.get()
        said = json.loads(bytes(row.content))
        forged = canonical({**said, "mac": f"{said['mac'][:-1]}é"})
        with pytest.raises(entries.JournalBroken, match="its seal does not hold"):
            entries.opened(forged, form=entries.ENTRY, name="it")
