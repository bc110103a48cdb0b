"""No object stays in storage without a row, wherever an upload stops, and none is taken from a row that comes."""

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.core.files.storage import default_storage
from django.db import connection, connections

from audit import services as log
from audit.models import AuditRecord
from customers import attachments, removals
from customers.models import Attachment, Customer, ObjectRemoval
from customers.models.removal import Cause
from customers.removals import GRACE, UploadAbandoned, announce, claim, doom, remove_doomed, removed_of
from kaireon.lib.budget import Budget
from kaireon.lib.ids import uuid7
from kaireon.tenancy.context import InsideTransaction, transaction
from tests.cast import ADA, MALLORY
from tests.customers.conftest import NOW, customer

LATER = NOW + GRACE + timedelta(seconds=1)

# An upload by a process that is killed where the argument says.
KILLED = """
import os, signal, sys
import django; django.setup()
from customers import attachments, removals
from customers.models import Customer
from kaireon.tenancy.context import Actor, scope, transaction
from tests.customers.conftest import NOW

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "in the middle of storing":
    save, stored = attachments.default_storage.save, []
    attachments.default_storage.save = lambda *a: (stored and die(), stored.append(save(*a)))
with scope(tenant_id="acme", actor=Actor.system()):
    uploads = [attachments.Upload(name=f"{n}.txt", content=b"x", uploaded_at=NOW) for n in range(2)]
    rows = attachments.store(uploads, now=NOW)
    if sys.argv[1] == "after storing":
        die()
    with transaction():
        for row in rows:
            row.customer_id = Customer.objects.get().pk
        attachments.attach(rows)
        die()
"""


def store(*contents: bytes) -> list[Attachment]:
    uploads = [attachments.Upload(name="a.txt", content=content, uploaded_at=NOW) for content in contents]
    return attachments.store(uploads, now=NOW)


def attach(rows: list[Attachment]) -> None:
    with transaction():
        who = Customer.objects.get()
        for row in rows:
            row.customer_id = who.pk
        attachments.attach(rows)


def stored_objects() -> list[str]:
    folder = "attachments/acme"
    if not default_storage.exists(folder):
        return []
    return [
        f"{folder}/{shard}/{name}"
        for shard in default_storage.listdir(folder)[0]
        for name in default_storage.listdir(f"{folder}/{shard}")[1]
    ]


def waiting() -> int:
    with transaction():
        return ObjectRemoval.objects.count()


def test_a_file_that_was_attached_stays(ada):
    customer()
    rows = store(b"one", b"two")
    assert waiting() == 2
    attach(rows)
    assert waiting() == 0
    assert remove_doomed(now=LATER).attempted == 0
    with transaction():
        assert {row.file.read() for row in Attachment.objects.all()} == {b"one", b"two"}


@pytest.mark.parametrize("where", ["in the middle of storing", "after storing", "before the commit"])
def test_a_crash_leaves_no_object_without_a_row(ada, where):
    customer()
    died = subprocess.run([sys.executable, "-c", KILLED, where], env=os.environ, check=False, timeout=60)
    assert died.returncode == -signal.SIGKILL
    found = stored_objects()
    assert len(found) == (1 if where == "in the middle of storing" else 2)
    with transaction():
        assert not Attachment.objects.exists()

    assert remove_doomed(now=NOW + GRACE).attempted == 0, "within the hour the row may still come"
    done = remove_doomed(now=LATER)

    assert (done.deleted, done.missing) == (len(found), 2 - len(found))
    assert stored_objects() == []
    assert waiting() == 0


def test_a_row_that_is_refused_leaves_no_object(ada):
    rows = store(b"one")
    rows[0].customer_id = uuid7()
    with pytest.raises(Exception, match="foreign key"), transaction():
        attachments.attach(rows)
    assert remove_doomed(now=LATER).deleted == 1
    assert stored_objects() == []


def test_a_row_that_comes_after_the_removal_is_refused(ada):
    customer()
    rows = store(b"one")
    remove_doomed(now=LATER)
    with pytest.raises(UploadAbandoned):
        attach(rows)
    with transaction():
        assert not Attachment.objects.exists()


def test_a_row_that_is_being_written_is_passed_by(ada):
    """The removal meets the upload's transaction before its commit."""
    customer()
    rows = store(b"one")
    removed: list[removals.Removed] = []

    def remove() -> None:
        try:
            with ADA.here():
                removed.append(remove_doomed(now=LATER))
        finally:
            connections.close_all()

    with transaction():
        rows[0].customer_id = Customer.objects.get().pk
        attachments.attach(rows)
        thread = threading.Thread(target=remove)
        thread.start()
        thread.join(20)
    assert [r.attempted for r in removed] == [0]
    assert stored_objects() == [str(rows[0].file)]


def test_a_removal_that_was_decided_first_wins(ada, app_url):
    """The claim waits for the removal's decision, and then finds that it was made."""
    customer()
    rows = store(b"one")
    with psycopg.connect(app_url) as deciding:
        deciding.execute("SELECT set_config('app.tenant_id', 'acme', true), set_config('app.actor_type', 'job', true)")
        deciding.execute("UPDATE customers_objectremoval SET doomed_at = now()")
        threading.Timer(0.3, deciding.commit).start()
        with pytest.raises(UploadAbandoned):
            attach(rows)


@pytest.fixture
def app_url(db: str) -> str:
    return os.environ["DATABASE_URL"]


def test_storing_waits_for_no_transaction_of_the_caller(ada):
    with transaction():
        for call in (lambda: store(b"x"), lambda: announce(["a"], now=NOW), lambda: remove_doomed(now=NOW)):
            with pytest.raises(InsideTransaction):
                call()
    assert stored_objects() == []


def test_what_storage_does_not_let_go_is_counted_and_tried_again(ada, monkeypatch):
    stored = store(b"one", b"two")
    remove = removals.remove_object

    def fails_for_the_first(name: str) -> bool:
        if name == str(stored[0].file):
            raise OSError("storage is away")
        return remove(name)

    monkeypatch.setattr(removals, "remove_object", fails_for_the_first)
    done = remove_doomed(now=LATER)
    assert (done.attempted, done.deleted, done.failed) == (2, 1, 1)
    with transaction():
        assert ObjectRemoval.objects.get().failures == 1
    monkeypatch.undo()
    assert remove_doomed(now=LATER).deleted == 1


def test_it_stops_when_its_time_is_spent_and_goes_on_next_time(ada):
    store(b"one", b"two", b"three")
    assert remove_doomed(now=LATER, budget=Budget(0)).attempted == 1
    assert remove_doomed(now=LATER).attempted == 2


def test_more_than_a_slice_is_removed_in_one_call(ada, monkeypatch):
    monkeypatch.setattr(removals, "_SLICE", 2)
    store(*[b"x"] * 5)
    assert remove_doomed(now=LATER).deleted == 5


def test_what_answers_a_request_stays_as_evidence_without_its_name(ada):
    request, other = uuid7(), uuid7()
    stored = [str(row.file) for row in store(b"one", b"two")]
    with transaction():
        claim(stored)
        doom([stored[0], "attachments/acme/00/gone"], cause=Cause.ERASURE, reference=request, now=NOW)
        doom([stored[1]], cause=Cause.ERASURE, reference=other, now=NOW)
    remove_doomed(now=NOW, reference=request)
    with transaction():
        done = removed_of(request)
        assert (done.attempted, done.deleted, done.missing) == (2, 1, 1)
        assert removed_of(other).attempted == 0
        assert set(ObjectRemoval.objects.of(request).values_list("object_name", flat=True)) == {""}
    assert stored_objects() == [stored[1]]


def test_who_died_after_an_object_went_is_not_taken_for_whoever_found_it_missing(ada, monkeypatch):
    request = uuid7()
    [stored] = [str(row.file) for row in store(b"one")]
    with transaction():
        claim([stored])
        doom([stored], cause=Cause.ERASURE, reference=request, now=NOW)
    remove = removals.remove_object

    def dies_after(name: str) -> bool:
        remove(name)
        raise KeyboardInterrupt

    monkeypatch.setattr(removals, "remove_object", dies_after)
    with pytest.raises(KeyboardInterrupt):
        remove_doomed(now=NOW, reference=request)
    monkeypatch.undo()
    assert stored_objects() == []
    assert remove_doomed(now=NOW, reference=request).deleted == 1
    with transaction():
        done = removed_of(request)
    assert (done.attempted, done.deleted, done.missing) == (1, 1, 0)


def test_its_records_say_what_became_of_an_object_and_never_its_name(ada):
    with transaction():
        doom(["attachments/acme/00/secret"], cause=Cause.PURGE, now=NOW)
    remove_doomed(now=NOW)
    log.drain("acme")
    with transaction():
        records = list(AuditRecord.objects.filter(entity_type="ObjectRemoval").order_by("seq"))
    assert [r.action for r in records] == ["create", "object.removed"]
    assert records[0].after["cause"] == "purge"
    shown: list[Any] = [r.changes for r in records] + [r.before for r in records] + [r.after for r in records]
    assert "secret" not in str(shown)


def test_another_tenants_objects_are_not_looked_at(ada):
    store(b"one")
    with MALLORY.here():
        assert remove_doomed(now=LATER).attempted == 0
    assert len(stored_objects()) == 1


@pytest.mark.parametrize(
    "untrue",
    [
        "UPDATE customers_objectremoval SET gone_at = now()",
        "UPDATE customers_objectremoval SET doomed_at = now(), gone_at = now()",
        "UPDATE customers_objectremoval SET cause = 'purge'",
    ],
)
def test_the_table_holds_no_contradiction(ada, untrue):
    store(b"one")
    with pytest.raises(Exception, match="violates check constraint"), transaction(), connection.cursor() as cursor:
        cursor.execute(untrue)
