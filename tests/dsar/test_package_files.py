"""The files themselves in a package: whole, under safe names, in flat memory, and said to be gone when they are."""

import os
import tracemalloc
from hashlib import sha256
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from customers import models as m
from dsar.dossiers import files
from dsar.models import DsarRequest
from kaireon.tenancy.context import transaction
from tests.dsar.conftest import answer, client, file, upload
from tests.dsar.test_package import fetched, portable

NAMES = {
    "letter.pdf": "letter.pdf",
    "../../etc/passwd": "_.._etc_passwd",
    "C:\\boot.ini": "C__boot.ini",
    "/root/.profile": "_root_.profile",
    "con.txt": "_con.txt",
    "…": "…",
    "..": "file",
    "": "file",
    " . ": "file",
    "a\x00b\n.txt": "a_b_.txt",
    "Zeugnis\u202efdp.exe": "Zeugnisfdp.exe",
    "日本.pdf": "日本.pdf",
    "x" * 300 + ".pdf": "x" * 96 + ".pdf",
    "x" * 300: "x" * 100,
}


@pytest.fixture
def storage(settings: Any, tmp_path: Any) -> None:
    default = {**settings.STORAGES["default"], "OPTIONS": {"location": str(tmp_path / "objects")}}
    settings.STORAGES = {**settings.STORAGES, "default": default}


def names_of(request: DsarRequest) -> set[str]:
    return {name for name in fetched(request).namelist() if name.startswith("attachments/")}


def test_a_name_never_leads_elsewhere_and_is_never_empty() -> None:
    assert {name: files.safe_name(name) for name in NAMES} == NAMES


def test_the_files_are_in_it_whole_and_the_manifest_vouches_for_them(storage: None, jane: m.Customer) -> None:
    sent = {"letter.pdf": b"dear jane", "../scan.png": os.urandom(200_000), "empty": b""}
    with transaction():
        for name, content in list(sent.items())[1:]:
            upload(jane, name, content)
        rows = {row.name: str(row.pk) for row in m.Attachment.objects.filter(customer=jane)}
        others = set(m.Attachment.objects.exclude(customer=jane).values_list("pk", flat=True))
    found = fetched(answer(file()))
    assert found.testzip() is None
    manifest = portable(found, "manifest.json")
    assert manifest["missingAttachments"] == []
    for name, content in sent.items():
        place = f"attachments/{rows[name]}/{files.safe_name(name)}"
        assert found.read(place) == content, name
        assert manifest["files"][place] == {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
    assert len([name for name in found.namelist() if name.startswith("attachments/")]) == 3
    assert not [name for name in found.namelist() if any(str(other) in name for other in others)]


def test_what_went_since_is_said_and_the_rest_comes(storage: None, jane: m.Customer) -> None:
    with transaction():
        for name in ("gone.pdf", "purged.pdf"):
            upload(jane, name, b"x")
        rows = {row.name: row for row in m.Attachment.objects.filter(customer=jane)}
    request = answer(file())
    default_storage.delete(str(rows["gone.pdf"].file))
    with transaction():
        m.Attachment.objects.filter(pk=rows["purged.pdf"].pk).delete()
    found = fetched(request)
    missing = portable(found, "manifest.json")["missingAttachments"]
    assert set(missing) == {str(rows[name].pk) for name in ("gone.pdf", "purged.pdf")}
    assert names_of(request) == {f"attachments/{rows['letter.pdf'].pk}/letter.pdf"}


def test_a_large_one_is_sent_in_flat_memory(storage: None, jane: m.Customer) -> None:
    size = 24 * 1024 * 1024
    with transaction():
        row = m.Attachment.objects.get(customer=jane)
    default_storage.delete(str(row.file))
    default_storage.save(str(row.file), ContentFile(bytes(size)))
    request = answer(file())
    answered = client().get(f"/api/v1/dsar/{request.pk}/download?format=zip")
    tracemalloc.start()
    for _ in answered.streaming_content:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 6
