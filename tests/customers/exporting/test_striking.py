"""Who was erased is in no exported file any more, and the files say that something was taken out."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import override_settings

from customers import removals
from customers.exporting import exporting, formats, striking
from customers.models import Customer, ExportBatch, Interaction, ObjectRemoval
from kaireon.lib.ids import uuid7
from kaireon.tenancy.context import transaction
from tests.cast import ADA
from tests.customers.conftest import NOW
from tests.customers.exporting import warehouse
from tests.customers.exporting.conftest import FORMS
from tests.customers.exporting.warehouse import export, files, ids, in_database, rows, some

LATER = NOW + timedelta(days=1)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "BATCH_ROWS", 10)
    monkeypatch.setattr(exporting, "PATIENCE", 0.2)


def ref(number: str) -> UUID:
    with transaction():
        return Customer.objects.get(customer_id=number).pk


def erased(key: UUID, *, but: int = 0) -> UUID:
    """As an erasure does it: the rows go in one transaction, the files after it. Gives the request's id."""
    request = uuid4()
    with transaction():
        mine = Interaction.objects.filter(customer=key).order_by("pk")
        Interaction.objects.filter(pk__in=list(mine.values_list("pk", flat=True))[but:]).delete()
    return request


def strike(key: UUID, request: UUID) -> striking.Struck:
    striking.strike([key], reference=request, now=LATER)
    removals.remove_doomed(now=LATER, reference=request)
    with transaction():
        return striking.struck_of(request)


@pytest.mark.parametrize("form", [".json", ".json.gz", ".parquet"], indirect=True)
def test_files_are_written_anew_without_the_person(ada: None, form: str) -> None:
    some(5, customer="c-gone")
    some(12, customer="c-2")
    export()
    before = files()
    key = ref("c-gone")
    theirs = [row["id"] for row in rows() if row["customerId"] == "c-gone"]
    planted = [secret.encode() for secret in ("c-gone", str(key), *theirs)]
    assert all(any(secret in warehouse.readable(content) for content in before.values()) for secret in planted)
    request = erased(key)
    struck = strike(key, request)
    assert (struck.files, struck.rows) == (1, 5)
    assert sorted(ids()) == sorted(in_database())
    for content in files().values():
        assert not [secret for secret in planted if secret in warehouse.readable(content)]
    first, second = sorted(before)
    assert first.endswith(f"Z{form}")
    assert sorted(files()) == [first.replace(form, f".r1{form}"), second]
    entry = warehouse.manifests()[-1]
    assert (entry["event"], entry["reason"], entry["removedRows"], entry["rows"]) == ("struck", "erasure", 5, 5)
    assert entry["supersedes"]["file"] == first
    warehouse.check()
    with transaction():
        assert removals.removed_of(request).deleted == 1
        assert not any(bytes(key.bytes[-8:]) in bytes(b.subjects) for b in ExportBatch.objects.all())
    assert strike(key, request) == struck
    assert export().rows == 0


def test_each_file_keeps_its_form_whatever_new_ones_have(ada: None) -> None:
    for n, settings in enumerate(FORMS.values()):
        some(2, customer="c-gone", prefix=f"o-{n}")
        some(2, customer="c-2", prefix=f"o-{n}")
        with override_settings(**settings):
            export(now=NOW + timedelta(minutes=n))
    before = sorted(files())
    key = ref("c-gone")
    assert strike(key, erased(key)) == striking.Struck(files=3, rows=6)
    assert sorted(files()) == [name.replace(end, f".r1{end}") for name, end in zip(before, FORMS, strict=True)]
    assert sorted(ids()) == sorted(in_database())
    warehouse.check()


def test_a_file_of_a_form_that_a_newer_version_wrote_stays(ada: None, monkeypatch: pytest.MonkeyPatch) -> None:
    some(3)
    export()
    monkeypatch.setattr(formats, "FORMATS", (formats.PARQUET,))
    key = ref("c-1")
    with pytest.raises(formats.FormatUnknown):
        strike(key, erased(key))
    monkeypatch.undo()
    assert len(rows()) == 3


def test_nothing_that_was_read_before_an_erasure_is_written_after_it(
    ada: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export reads ahead of what it writes; an erasure comes between two of its turns."""
    for number in range(30):
        some(1, customer="c-gone", prefix=f"o-{number}")
        some(1, customer=f"c-{number}")
    key = ref("c-gone")
    alone = exporting.only_writer
    turns: list[int] = []

    @contextmanager
    def turn() -> Iterator[None]:
        with alone():
            yield
        turns.append(1)
        if len(turns) == 1:
            with monkeypatch.context() as patch:
                patch.setattr(exporting, "only_writer", alone)
                strike(key, erased(key))

    monkeypatch.setattr(exporting, "TURN", 0.0)
    monkeypatch.setattr(exporting, "only_writer", turn)
    export()
    assert len(turns) > 1
    assert sorted(ids()) == sorted(in_database())
    assert not any(b"c-gone" in content for content in files().values())
    warehouse.check()


def test_a_file_of_one_person_goes_as_a_whole(ada: None) -> None:
    some(10, customer="c-gone")
    some(3, customer="c-2")
    export()
    key = ref("c-gone")
    strike(key, erased(key))
    assert len(files()) == 1
    assert {row["customerId"] for row in rows()} == {"c-2"}
    entry = warehouse.manifests()[-1]
    assert (entry["event"], entry["rows"], entry["file"]) == ("removed", 0, None)
    warehouse.check()


def test_rows_that_a_hold_keeps_stay_in_the_file_until_they_go(ada: None) -> None:
    some(5, customer="c-gone")
    some(3, customer="c-2")
    export()
    key = ref("c-gone")
    struck = strike(key, erased(key, but=2))
    assert struck.rows == 3
    assert [row["customerId"] for row in rows()].count("c-gone") == 2
    assert strike(key, erased(key)).rows == 2
    assert {row["customerId"] for row in rows()} == {"c-2"}
    assert all(".r2." in name for name in files())
    warehouse.check()


def test_rows_that_retention_took_long_ago_are_found_all_the_same(ada: None) -> None:
    some(5, customer="c-gone")
    some(3, customer="c-2")
    export()
    with transaction():
        Interaction.objects.all().delete()
    key = ref("c-gone")
    assert strike(key, uuid4()).rows == 5
    assert {row["customerId"] for row in rows()} == {"c-2"}


def test_nobody_exported_is_nothing_to_do(ada: None) -> None:
    some(3)
    key = ref("c-1")
    assert strike(key, erased(key)) == striking.Struck()
    with transaction():
        assert not ObjectRemoval.objects.exists()


def test_somebody_else_is_left_alone(ada: None) -> None:
    some(3)
    export()
    assert strike(uuid7(), uuid4()) == striking.Struck()
    assert len(rows()) == 3


@pytest.mark.parametrize("form", [".json", ".parquet"], indirect=True)
def test_a_file_that_is_gone_or_garbled_does_not_stop_it(ada: None, form: str) -> None:
    some(5, customer="c-gone")
    some(5, customer="c-2")
    export()
    some(5, customer="c-gone", prefix="more")
    some(5, customer="c-2", prefix="more")
    export(now=LATER)
    first, second = sorted(files())
    garbled = files()[second][:-9] + b"\0" * 9
    default_storage.delete(first)
    default_storage.delete(second)
    default_storage.save(second, ContentFile(garbled))
    key = ref("c-gone")
    strike(key, erased(key))
    assert [entry["event"] for entry in warehouse.manifests()] == ["batch", "batch", "missing", "removed"]
    assert warehouse.manifests()[-1]["reason"] == "unreadable"
    assert not files()


def test_a_file_that_somebody_wrote_anew_goes_as_a_whole(ada: None) -> None:
    """Its lines are JSON all the same, and nobody is found where they should stand."""
    some(3, customer="c-gone")
    some(3, customer="c-2")
    export()
    (name,) = files()
    spaced = b"".join(json.dumps(row).encode() + b"\n" for row in rows())
    default_storage.delete(name)
    default_storage.save(name, ContentFile(spaced))
    key = ref("c-gone")
    strike(key, erased(key))
    assert not any(b"c-gone" in content for content in files().values())
    assert [entry["event"] for entry in warehouse.manifests()] == ["batch", "removed"]


def test_it_waits_for_an_export_that_is_under_way(ada: None) -> None:
    some(3)
    export()
    key = ref("c-1")
    request = erased(key)
    with exporting.only_writer(), pytest.raises(exporting.ExportUnderWay):
        striking.strike([key], reference=request, now=LATER)
    assert strike(key, request).rows == 3


def test_what_an_export_had_only_begun_goes_too(ada: None) -> None:
    """The process ended between the file and its row, and the person is erased before the next run."""
    some(3)
    export()
    some(3, customer="c-gone")
    ended = subprocess.run([sys.executable, "-c", BEGUN], env=os.environ, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert any(b"c-gone" in content for content in files().values())
    key = ref("c-gone")
    strike(key, erased(key))
    assert not any(b"c-gone" in content for content in files().values())


BEGUN = """
import os, signal
import django; django.setup()
from customers.exporting import exporting
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import Actor, scope
from tests.customers.exporting.test_striking import LATER

exporting.removals.claim = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
with scope(tenant_id="acme", actor=Actor.system()):
    exporting.export(exporting.Exported(), now=LATER, budget=Budget(60))
"""

KILLED = """
import os, signal, sys
import django; django.setup()
from uuid import UUID
from customers.exporting import exporting, manifests, striking
from kaireon.tenancy.context import Actor, scope
from tests.customers.exporting.test_striking import LATER

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "before the file":
    exporting.store = die
elif sys.argv[1] == "after the file":
    exporting.removals.claim = die
elif sys.argv[1] == "before the manifest":
    manifests.put = die
with scope(tenant_id="acme", actor=Actor.system()):
    striking.strike([UUID(sys.argv[2])], reference=UUID(sys.argv[3]), now=LATER)
"""


@pytest.mark.parametrize("moment", ["before the file", "after the file", "before the manifest"])
def test_killed_anywhere_it_goes_on(ada: None, moment: str) -> None:
    some(5, customer="c-gone")
    some(12, customer="c-2")
    export()
    key = ref("c-gone")
    request = erased(key)
    command = [sys.executable, "-c", KILLED, moment, str(key), str(request)]
    ended = subprocess.run(command, env=os.environ, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert strike(key, request).rows == 5
    assert sorted(ids()) == sorted(in_database())
    warehouse.check()


@pytest.mark.parametrize("form", [".json", ".parquet"], indirect=True)
def test_s3_has_the_same(s3: Any, form: str) -> None:
    with ADA.here():
        some(5, customer="c-gone")
        some(12, customer="c-2")
        export()
        key = ref("c-gone")
        strike(key, erased(key))
        assert sorted(ids()) == sorted(in_database())
        warehouse.check()
    assert not any(b"c-gone" in warehouse.readable(s3.read(name)) for name in s3.names())


def test_whoever_has_read_the_person_and_lost_the_lock_writes_nothing(
    ada: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are read, the connection that holds the lock is gone, the erasure finds no file of theirs."""
    some(3)
    export()
    some(3, customer="c-gone")
    key = ref("c-gone")
    announce = removals.announce
    found: list[int] = []

    def struck_before(names: list[str], *, now: Any) -> None:
        if not found:
            found.append(-1)
            found.append(strike(key, erased(key)).rows)
        announce(names, now=now)

    with monkeypatch.context() as patch:
        patch.setattr(exporting, "only_writer", nullcontext)
        patch.setattr(removals, "announce", struck_before)
        with pytest.raises(exporting.ExportUnderWay):
            export()
    assert found == [-1, 0]
    export()
    assert not any(b"c-gone" in content for content in files().values())
    assert sorted(ids()) == sorted(in_database())
    warehouse.check()
