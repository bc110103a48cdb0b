"""Dossiers too large for their row: sealed chunks in storage, and nothing else of them anywhere."""

import hashlib
import json
import tracemalloc
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import IntegrityError, connection

from customers import models as m
from customers import removals
from customers.models import ObjectRemoval
from dsar.dossiers import export, keeping
from dsar.models import Dossier, DsarRequest
from kaireon.jobs.models import Job
from kaireon.jobs.services import LeaseLost
from kaireon.lib import clock
from kaireon.lib.sealed_stream import CHUNK_BYTES
from kaireon.lib.sealing import Keyring, SealBroken, UnknownKeyVersion
from kaireon.tenancy.context import transaction
from kaireon.tenancy.keyring import keyring
from tests.dsar.conftest import EMAIL, NUMBER, SECRETS, answer, client, file

DSAR = "/api/v1/dsar"


@pytest.fixture
def objects(settings: Any, tmp_path: Path) -> Path:
    """A folder of the test's own as storage."""
    folder = tmp_path / "objects"
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {**settings.STORAGES["default"], "OPTIONS": {"location": str(folder)}},
    }
    return folder


@pytest.fixture
def large(objects: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every dossier is a large one, of many chunks."""
    monkeypatch.setattr(keeping, "MOST_IN_ROW", 100)
    monkeypatch.setattr("kaireon.lib.sealed_stream.CHUNK_BYTES", 1024)
    monkeypatch.setattr("kaireon.lib.sealed_stream._SEALED_CHUNK_BYTES", 1024 + 16)
    return objects


def files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("dossiers/**/*") if path.is_file()]


def row_of(request: DsarRequest) -> Dossier:
    with transaction():
        return Dossier.objects.get(request=request)


def written_down() -> list[tuple[str, bool]]:
    with transaction():
        rows = ObjectRemoval.objects.filter(object_name__startswith="dossiers/").order_by("pk")
        return [(row.object_name, row.doomed_at is not None) for row in rows]


def downloaded(request: DsarRequest) -> bytes:
    answered = client().get(f"{DSAR}/{request.pk}/download")
    assert answered.status_code == 200
    content = b"".join(answered.streaming_content)
    assert len(content) == int(answered["Content-Length"])
    return content


def test_a_large_dossier_is_an_object_of_sealed_chunks_and_opens_as_written(jane: m.Customer, large: Path) -> None:
    request = answer(file())
    row = row_of(request)
    assert (bytes(row.sealed), written_down()) == (b"", [])
    [stored] = files(large)
    assert stored == large / str(row.file.name)
    raw = stored.read_bytes() + bytes(row.key_wrapped or b"")
    assert len(raw) > 4 * 1024
    assert not [secret for secret in (*SECRETS, NUMBER, "interactions") if secret.encode() in raw]
    content = downloaded(request)
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (row.sha256, row.size)
    assert json.loads(content)["data"]["profile"]["email"] == EMAIL
    shown = client().get(f"{DSAR}/{request.pk}").json()
    assert "exportedData" not in shown
    assert shown["counts"] == json.loads(content)["counts"]


def test_a_large_envelope_opens_with_the_command(jane: m.Customer, large: Path, tmp_path: Path) -> None:
    request = answer(file(encrypt=True))
    envelope = downloaded(request)
    assert EMAIL.encode() not in envelope
    assert json.loads(envelope)["data"]["keyVersion"] == 1
    source, out = tmp_path / "in.json", tmp_path / "out.json"
    source.write_bytes(envelope)
    call_command("dsar_decrypt", str(source), out=out)
    assert out.read_bytes() == b"".join(keeping.opened(row_of(request)))
    assert hashlib.sha256(out.read_bytes()).hexdigest() == row_of(request).sha256


@pytest.mark.parametrize("fault", ["cut", "exchanged", "altered", "of another"])
def test_an_object_that_was_tampered_with_is_not_given_out(jane: m.Customer, large: Path, fault: str) -> None:
    request = answer(file())
    [stored] = files(large)
    raw, size = stored.read_bytes(), 1024 + 16
    first, second = raw[7 : 7 + size], raw[7 + size : 7 + 2 * size]
    tampered = {
        "cut": raw[: 7 + 2 * size],
        "exchanged": raw[:7] + second + first + raw[7 + 2 * size :],
        "altered": raw[:2000] + bytes([raw[2000] ^ 1]) + raw[2001:],
        "of another": raw,
    }[fault]
    if fault == "of another":
        row = row_of(answer(file(subject_id="C-99")))
        tampered = (large / str(row.file.name)).read_bytes()
    stored.write_bytes(tampered)
    given_out = bytearray()
    with pytest.raises(SealBroken):
        for chunk in keeping.opened(row_of(request)):
            given_out += chunk
    assert b"counts" not in given_out


def test_an_object_that_is_gone_is_said_to_be(jane: m.Customer, large: Path) -> None:
    request = answer(file())
    default_storage.delete(str(row_of(request).file.name))
    refused = client().get(f"{DSAR}/{request.pk}/download")
    assert (refused.status_code, refused.json()["error"]["code"]) == (410, "package_gone")
    with transaction():
        assert not client().get("/api/v1/audit-logs?action=dsar.export.downloaded").json()["logs"]


class Killed(BaseException):
    """What no handler of errors catches: the worker is gone."""


def _dies(*_given: object, **_more: object) -> None:
    raise Killed


@pytest.mark.parametrize(
    ("where", "stored"),
    [
        ((keeping.sealed_stream.StreamSealer, "_seal"), 0),
        ((keeping.default_storage, "save"), 0),
        ((export, "_still_there"), 1),
        ((keeping, "attach"), 1),
    ],
    ids=["between chunks", "before the object", "after the object", "before the row"],
)
def test_a_worker_killed_anywhere_leaves_nothing_that_is_not_written_down_and_nothing_in_clear(
    jane: m.Customer,
    large: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: tuple[Any, str],
    stored: int,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    filed = file()
    with monkeypatch.context() as patched:
        patched.setattr(*where, _dies)
        with pytest.raises(Killed):
            answer(filed)
    left = files(large)
    assert len(left) == stored
    assert [name for name, _ in written_down()] == [str(path.relative_to(large)) for path in left] or not left
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or EMAIL.encode() not in path.read_bytes()
    with transaction():
        assert not Dossier.objects.exists()
        Job.objects.filter(pk=filed.job.pk).update(lease_until=clock.now())
    assert answer(filed).status == "completed"
    removals.remove_doomed(now=clock.now() + timedelta(hours=2))
    assert [str(path.relative_to(large)) for path in files(large)] == [str(row_of(filed.request).file.name)]
    assert written_down() == []


def test_of_two_workers_only_one_has_a_dossier_and_the_others_object_goes(
    jane: m.Customer, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed = file()

    def lost(*_given: object) -> None:
        raise LeaseLost("x")

    with monkeypatch.context() as patched:
        patched.setattr(export, "_keep", lost)
        answer(filed)
    with transaction():
        Job.objects.filter(pk=filed.job.pk).update(lease_until=clock.now())
    assert answer(filed).status == "completed"
    assert len(files(large)) == 2
    removals.remove_doomed(now=clock.now() + timedelta(hours=2))
    assert len(files(large)) == 1


def test_what_was_erased_while_it_was_stored_is_doomed_at_once(
    jane: m.Customer, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed, store = file(), keeping.store

    def erased_meanwhile(made: keeping.Draft, **given: Any) -> None:
        store(made, **given)
        assert answer(file("delete")).status == "completed"

    monkeypatch.setattr(keeping, "store", erased_meanwhile)
    assert answer(filed).outcome == "no_data"
    assert [doomed for _, doomed in written_down()] == [True]
    removals.remove_doomed(now=clock.now())
    assert files(large) == []


def test_an_erasure_takes_the_objects_of_earlier_dossiers(jane: m.Customer, large: Path) -> None:
    request = answer(file())
    assert answer(file("delete")).status == "completed"
    assert files(large) == []
    with transaction():
        assert not Dossier.objects.exists()
    assert client().get(f"{DSAR}/{request.pk}/download").status_code == 410


def test_the_database_refuses_a_dossier_that_is_nowhere_or_without_its_key(jane: m.Customer, large: Path) -> None:
    answer(file())
    for change in ("sealed = 'x'", "sealed = '', file = ''", "file = ''", "key_wrapped = NULL"):
        with pytest.raises(IntegrityError), transaction(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE dsar_dossier SET {change}")


@pytest.mark.parametrize("is_large", [True, False])
def test_a_new_master_key_wraps_the_dossiers_anew_and_leaves_them_as_they_lie(
    jane: m.Customer, large: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, is_large: bool
) -> None:
    import contextvars

    if not is_large:
        monkeypatch.setattr(keeping, "MOST_IN_ROW", 10**6)
    request = answer(file())
    content = b"".join(keeping.opened(row_of(request)))
    before = [path.read_bytes() for path in files(large)]
    both = keyring().rotated()
    settings.SEALING_KEYS = both.text()
    # A command opens its own scope, as it does in a process of its own.
    contextvars.Context().run(call_command, "audit_rotate_keys", "--all", "--json")
    settings.SEALING_KEYS = Keyring({2: both.key(2)}).text()
    assert b"".join(keeping.opened(row_of(request))) == content
    assert [path.read_bytes() for path in files(large)] == before
    settings.SEALING_KEYS = Keyring.generate().text()
    with pytest.raises(UnknownKeyVersion):
        list(keeping.opened(row_of(request)))


def test_a_dossier_of_an_earlier_version_opens_and_is_rewrapped(jane: m.Customer, settings: Any) -> None:
    from dsar.dossiers import rewrapping
    from kaireon.lib.sealing import seal

    request = answer(file())
    row = row_of(request)
    content = b"".join(keeping.opened(row))
    with transaction():
        Dossier.objects.update(key_wrapped=None, sealed=seal(content, context=row.sealing_context, keyring=keyring()))
    assert client().get(f"{DSAR}/{request.pk}/download").content == content
    both = keyring().rotated()
    settings.SEALING_KEYS = both.text()
    with transaction():
        assert (rewrapping.behind(), rewrapping.rewrap_some(10), rewrapping.behind()) == (1, 1, 0)
    settings.SEALING_KEYS = Keyring({2: both.key(2)}).text()
    assert b"".join(keeping.opened(row_of(request))) == content


def test_memory_does_not_grow_with_the_rows(jane: m.Customer, objects: Path) -> None:
    rows = 20_000
    with transaction(), connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO customers_interaction (id, tenant_id, customer_id, kind, channel, offer, quantity, amount,
                                               currency, external_id, context, occurred_at, created_at)
            SELECT gen_random_uuid(), 'acme', %s, 'click', 'web', 'o', 1, 1, 'EUR', 'bulk-' || n,
                   jsonb_build_object('note', repeat('x', 200)), now(), now()
              FROM generate_series(1, %s) n
            """,
            [jane.pk, rows],
        )
    filed = file()
    tracemalloc.start()
    try:
        request = answer(filed)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    row = row_of(request)
    assert request.counts["interactions"] == rows + 3
    assert row.size > 9_000_000
    assert most < 5_000_000, "the rows were held all at once"
    assert sum(1 for _ in keeping.opened(row)) == -(-row.size // CHUNK_BYTES)
