"""What was archived is read again: who and when, and what it said only when asked for, which is recorded."""

import gzip
import json
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.test import Client

import audit
from audit.models import AuditRecord
from customers.catalogue import entity
from kaireon.lib import clock
from kaireon.outbox import archive, dead_letters
from kaireon.outbox.models import DeadLetter
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA, GLOBEX, MALLORY, PASSWORD, Person


def bury(person: Person = ADA, **payload: Any) -> DeadLetter:
    """A dead letter of the person's tenant."""
    with person.here(), transaction():
        return dead_letters.add(
            source="message",
            source_ref=uuid4(),
            queue="outbox",
            topic="test.event",
            error_type="http_500",
            permanent=False,
            attempts=3,
            now=clock.now(),
            payload=payload,
            subject_ref=uuid4(),
        )


def archived(person: Person = ADA, dest: str = "") -> str:
    """The name of a fresh archive of all that waits in the person's tenant."""
    with person.here():
        [written] = archive.archive_waiting(now=clock.now(), to=archive.place(dest))
    return written.name


def read(name: str, *arguments: str, tenant: str = ACME) -> str:
    out = StringIO()
    call_command("read_archive", name, "--tenant", tenant, *arguments, stdout=out)
    return out.getvalue()


def letters_of(name: str, *arguments: str) -> list[dict[str, Any]]:
    found = json.loads(read(name, "--json", *arguments))
    assert found["name"] == name
    letters: list[dict[str, Any]] = found["letters"]
    return letters


def readings() -> list[AuditRecord]:
    audit.services.drain(ACME)
    with ADA.here(), transaction():
        return list(AuditRecord.objects.filter(action="dead_letter.read"))


def test_it_tells_what_it_was_without_what_it_said(db: str) -> None:
    letter = bury(who="Jane Doe")
    name = archived()
    [line] = letters_of(name)
    assert (line["id"], line["topic"], line["errorType"]) == (str(letter.pk), "test.event", "http_500")
    assert line["payloadState"] == "kept"
    assert "payload" not in line
    assert "Jane" not in read(name)
    assert readings() == []


def test_payloads_are_opened_when_asked_for_and_that_is_recorded(db: str) -> None:
    letters = [bury(who="Jane Doe"), bury(who="好")]
    name = archived()
    assert [line["payload"] for line in letters_of(name, "--open-payloads")] == [{"who": "Jane Doe"}, {"who": "好"}]
    assert {record.entity_id for record in readings()} == {str(letter.pk) for letter in letters}
    assert {record.user_name for record in readings()} == {"command:read_archive"}
    assert "Jane" not in str([record.changes for record in readings()])
    assert "Jane Doe" in read(name, "--open-payloads")


def test_what_was_erased_is_gone_from_the_archive_too(db: str) -> None:
    bury(who="Jane Doe")
    letter = bury(who="Kay")
    name = archived()
    with ADA.here(), transaction():
        payload = entity("outboxPayload").queryset().get(pk=letter.source_ref)
        entity("archivedDeadLetter").about(payload.subject_ref).delete()
    states = [(line["payloadState"], line.get("payload")) for line in letters_of(name, "--open-payloads")]
    assert states == [("kept", {"who": "Jane Doe"}), ("gone", None)]
    assert len(readings()) == 1


def test_another_tenants_archive_is_as_if_it_were_not(db: str) -> None:
    bury(MALLORY, who="Jane Doe")
    name = archived(MALLORY)
    assert "test.event" in read(name, tenant=GLOBEX)
    with pytest.raises(CommandError, match="no such archive"):
        read(name, "--open-payloads")


@pytest.mark.parametrize("name", ["dead-letters/acme/none.ndjson.gz", "../../etc/passwd", "/etc/passwd", ""])
def test_a_name_that_leads_nowhere_is_refused(db: str, name: str) -> None:
    with pytest.raises(CommandError):
        read(name)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no gzip",
        gzip.compress(b"no json\n"),
        gzip.compress(b"[1]\n"),
        gzip.compress(b"7\n"),
        gzip.compress(b'{"payloadSealed": null}\n'),
        gzip.compress(b'{"payloadSealed": null, "id": "7"}\n'),
        gzip.compress(b"\xff\n"),
        gzip.compress(b"{}\n" * 9)[:-9],
    ],
)
def test_a_damaged_file_is_said_to_be_one(db: str, body: bytes) -> None:
    name = default_storage.save("dead-letters/acme/damaged.ndjson.gz", ContentFile(body))
    with pytest.raises(CommandError, match="damaged"):
        read(name)


def test_an_altered_payload_is_unreadable_and_the_others_are_read(db: str, tmp_path: Path) -> None:
    bury(who="Jane Doe")
    bury(who="Kay")
    dest = f"file://{tmp_path}"
    name = archived(dest=dest)
    lines = [json.loads(line) for line in gzip.decompress((tmp_path / name).read_bytes()).splitlines()]
    lines[0]["payloadSealed"] = lines[1]["payloadSealed"]
    (tmp_path / name).write_bytes(gzip.compress("\n".join(json.dumps(line) for line in lines).encode()))
    found = letters_of(name, "--open-payloads", "--dest", dest)
    assert [(line["payloadState"], line.get("payload")) for line in found] == [
        ("unreadable", None),
        ("kept", {"who": "Kay"}),
    ]
    with pytest.raises(CommandError, match="s3://"):
        read(name, "--dest", "ftp://x")


def test_the_admin_says_when_the_storage_fails(db: str, settings: Any, tmp_path: Path) -> None:
    letter = bury(who="Jane Doe")
    client = Client()
    client.post("/admin/login/", {"username": ADA.email, "password": PASSWORD})
    page = f"/admin/outbox/deadletter/{letter.pk}"
    (tmp_path / "a-file").write_text("")
    well = settings.STORAGES
    broken = {**well["default"], "OPTIONS": {"location": str(tmp_path / "a-file" / "below")}}
    settings.STORAGES = {**well, "default": broken}
    assert "The storage failed" in client.post(f"{page}/archive/", follow=True).content.decode()
    settings.STORAGES = well
    assert "It is archived." in client.post(f"{page}/archive/", follow=True).content.decode()
