"""The package for a person to read: pages, tables, what they may take along, and a manifest that vouches for all."""

import csv
import io
import json
import re
import zipfile
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.db import connection

from customers import models as m
from customers.catalogue import CATALOGUE, shown_in
from customers.particulars import PARTICULARS, PROVIDED
from dsar.dossiers import cover, keeping, pages, writing
from dsar.models import Dossier, DsarRequest
from kaireon.lib import clock
from kaireon.lib.csv_safe import STARTERS
from kaireon.lib.sealing import SealBroken, seal
from kaireon.tenancy.context import transaction
from kaireon.tenancy.keyring import keyring
from tests.dsar.conftest import NUMBER, answer, client, file, make_customer

DSAR = "/api/v1/dsar"
EVIL = '=HYPERLINK("http://evil.example","<script>alert(1)</script>")'


def fetched(request: DsarRequest) -> zipfile.ZipFile:
    answered = client().get(f"{DSAR}/{request.pk}/download?format=zip")
    assert answered.status_code == 200
    assert answered["Content-Type"] == "application/zip"
    assert answered["Content-Disposition"].endswith('.zip"')
    return zipfile.ZipFile(io.BytesIO(b"".join(answered.streaming_content)))


def portable(found: zipfile.ZipFile, name: str = "dossier.json") -> dict[str, Any]:
    return dict(json.loads(found.read(name)))


def table(found: zipfile.ZipFile, section: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(found.read(f"csv/{section}.csv").decode("utf-8-sig"))))


class Page(HTMLParser):
    """What a page shows, where it leads, and what a browser would load or run for it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.loaded += [name for name in given if name == "src" or name.startswith("on")]
        if tag == "a":
            self.links.append(given["href"] or "")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def test_every_section_shows_the_planted_rows_and_none_of_a_neighbour(jane: m.Customer) -> None:
    """Every line of the table of data classes: in JSON, as a table, and on a page."""
    with transaction():
        neighbour = m.Customer.objects.numbered("C-99").get()
        planted = {
            section: {str(pk) for e in shown_in(section) for pk in e.about(jane.pk).values_list("pk", flat=True)}
            for section in {e.section for e in CATALOGUE} - {"dsarRequests", None}
        }
        others = {
            str(pk) for e in CATALOGUE if e.section for pk in e.about(neighbour.pk).values_list("pk", flat=True)
        } | {
            str(neighbour.pk),
            "C-99",
            "neighbour@example.com",
        }
    filed = file()
    planted["dsarRequests"] = {str(filed.request.pk)}
    found = fetched(answer(filed))
    data = portable(found)["data"]
    names = set(found.namelist())
    for section in writing.SECTIONS:
        rows = [data[section]] if section == "profile" else data[section]
        assert rows, section
        if section in planted:
            assert {row["id"] for row in rows} == planted[section], section
        cells = table(found, section)
        assert [row["id"] for row in cells] == [row["id"] for row in rows]
        page = Page(found.read(f"pages/{section}-0001.html").decode())
        assert PARTICULARS[section].title in page.text
        assert all(row["id"] in page.text for row in rows)
    for name in names:
        content = found.read(name).decode()
        assert not [other for other in others if other in content], name
    assert "Ada" not in found.read("dossier.json").decode(), "our own people are not named"


def test_the_manifest_vouches_for_every_file_and_the_schema_for_the_dossier(jane: m.Customer) -> None:
    request = answer(file())
    found = fetched(request)
    manifest = portable(found, "manifest.json")
    assert found.testzip() is None
    assert set(manifest["files"]) == set(found.namelist()) - {"manifest.json"}
    for name, said in manifest["files"].items():
        content = found.read(name)
        assert (sha256(content).hexdigest(), len(content)) == (said["sha256"], said["bytes"]), name
    with transaction():
        row = Dossier.objects.get(request=request)
    assert manifest["dossier"] == {"sha256": row.sha256, "bytes": row.size}
    assert manifest["files"]["dossier.json"]["sha256"] == row.sha256
    assert (manifest["customerId"], manifest["requestId"]) == (NUMBER, str(request.pk))
    schema = portable(found, "schema.json")
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(portable(found), schema)
    broken = portable(found)
    broken["data"]["interactions"][0]["occurredAt"] = 7
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_every_page_opens_from_disk_is_readable_and_runs_nothing(jane: m.Customer, tmp_path: Path) -> None:
    with transaction():
        m.Customer.objects.filter(pk=jane.pk).update(name=EVIL, attributes={"<b>": ["<img src=x onerror=x>", 1]})
    fetched(answer(file())).extractall(tmp_path)
    texts = {}
    for path in tmp_path.rglob("*.html"):
        page = Page(path.read_text(encoding="utf-8"))
        assert not {"script", "img", "link", "iframe", "object", "form"} & set(page.tags)
        assert page.loaded == []
        for link in page.links:
            assert (path.parent / link).is_file(), link
        texts[path.name] = page.text
    first = texts["index.html"]
    assert EVIL in texts["profile-0001.html"]
    for section, said in PARTICULARS.items():
        assert said.title in first
        assert said.purposes in first
        assert f"{section}-0001.html" in texts
    assert "A program chooses what is offered to you" in first
    assert cover.UNTIL_FURTHER in first
    assert "Complain to a supervisory authority" in first
    assert "@import" not in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_no_cell_of_a_table_is_a_formula(jane: m.Customer) -> None:
    with transaction():
        m.Customer.objects.filter(pk=jane.pk).update(
            name=EVIL, phone="+44 20", address="-1+1\n@x", attributes={"=": "="}
        )
    found = fetched(answer(file()))
    [row] = table(found, "profile")
    assert (row["name"], row["phone"]) == (f"'{EVIL}", "'+44 20")
    assert json.loads(row["attributes"]) == {"=": "="}
    for name in found.namelist():
        if name.endswith(".csv"):
            for line in csv.reader(io.StringIO(found.read(name).decode("utf-8-sig"))):
                assert not [cell for cell in line if cell[:1] in STARTERS and cell[:1]]


def test_what_was_provided_stands_apart_to_be_taken_along(jane: m.Customer) -> None:
    found = fetched(answer(file()))
    whole, taken = portable(found), portable(found, "portable/dossier.json")
    assert taken["data"] == {s: rows for s, rows in whole["data"].items() if s in PROVIDED}
    assert taken["counts"] == {s: whole["counts"][s] for s in taken["data"]}
    assert {"profile", "interactions", "consentRecords"} <= set(taken["data"])
    assert not {"decisionTraces", "summaries", "attributionResults", "auditLogs"} & set(taken["data"])


def test_every_section_has_its_particulars_and_every_law_its_rights() -> None:
    from dsar import deadlines

    assert set(PARTICULARS) == set(writing.SECTIONS)
    assert set(cover.RIGHTS) >= set(deadlines.LAWS)


def test_the_period_in_force_is_told(jane: m.Customer) -> None:
    from tests.compliance.rows import policy

    policy("interactions", 365)
    first = Page(fetched(answer(file())).read("index.html").decode()).text
    assert "365 days." in first


def test_somebody_unknown_is_told_that_nothing_is_held(ada: None) -> None:
    found = fetched(answer(file(subject_id="nobody@example.com", subject_type="email")))
    first = Page(found.read("index.html").decode()).text
    assert "Nothing is held about you here but your request itself" in first
    assert "csv/interactions.csv" not in found.namelist()
    jsonschema.validate(portable(found), portable(found, "schema.json"))
    assert portable(found, "portable/dossier.json")["data"] == {}


def test_long_sections_are_paged(jane: m.Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ROWS_A_PAGE", 2)
    with transaction():
        make_customer("C-55", "many@example.com", interactions=5)
    found = fetched(answer(file(subject_id="C-55")))
    seen = [Page(found.read(f"pages/interactions-{n:04}.html").decode()) for n in (1, 2, 3)]
    assert "pages/interactions-0004.html" not in found.namelist()
    assert [re.findall(r"C-55-\d", page.text) for page in seen] == [
        ["C-55-0", "C-55-1"],
        ["C-55-2", "C-55-3"],
        ["C-55-4"],
    ]
    assert "interactions-0003.html" in seen[1].links
    assert "Page 2 of 3, 5 rows" in seen[1].text


def test_a_large_one_and_one_of_an_earlier_version_have_the_same_package(
    jane: m.Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = answer(file())
    expected = fetched(small)
    with transaction():
        row = Dossier.objects.get(request=small)
        old = json.dumps(json.loads(b"".join(keeping.opened(row)))).encode()
        sealed = seal(old, context=row.sealing_context, keyring=keyring())
        Dossier.objects.filter(pk=row.pk).update(key_wrapped=None, sealed=sealed)
    of_old = fetched(small)
    assert of_old.namelist() == expected.namelist()
    for name in expected.namelist():
        if name.startswith(("csv/", "pages/")):
            assert of_old.read(name) == expected.read(name), name
    assert portable(of_old, "portable/dossier.json") == portable(expected, "portable/dossier.json")
    monkeypatch.setattr(keeping, "MOST_IN_ROW", 100)
    large = fetched(answer(file()))
    assert large.namelist() == expected.namelist()
    assert large.read("csv/interactions.csv") == expected.read("csv/interactions.csv")


def test_a_zip_of_a_tampered_dossier_ends_without_its_directory(
    jane: m.Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kaireon.lib.sealed_stream.CHUNK_BYTES", 1024)
    monkeypatch.setattr("kaireon.lib.sealed_stream._SEALED_CHUNK_BYTES", 1024 + 16)
    request = answer(file())
    with transaction(), connection.cursor() as cursor:
        cursor.execute("UPDATE dsar_dossier SET sealed = set_byte(sealed, 3000, get_byte(sealed, 3000) # 1)")
    answered = client().get(f"{DSAR}/{request.pk}/download?format=zip")
    given_out = bytearray()
    with pytest.raises(SealBroken):
        for part in answered.streaming_content:
            given_out += part
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(given_out))


def test_what_was_asked_for_encrypted_is_not_handed_out_in_clear(jane: m.Customer) -> None:
    request = answer(file(encrypt=True))
    refused = client().get(f"{DSAR}/{request.pk}/download?format=zip")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "encrypted_package")
    assert not client().get("/api/v1/audit-logs?action=dsar.export.downloaded").json()["logs"]


def test_each_download_is_recorded_and_refused_like_the_other(jane: m.Customer) -> None:
    request = answer(file())
    fetched(request)
    assert client().get("/api/v1/audit-logs?action=dsar.export.downloaded").json()["total"] == 1
    path = f"{DSAR}/{request.pk}/download?format="
    assert client("mallory").get(f"{path}zip").status_code == 404
    for nick in ("ed", "aud", "vi"):
        assert client(nick).get(f"{path}zip").status_code == 403
    for wrong in ("xml", "ZIP", "zip "):
        assert client().get(f"{path}{wrong}").status_code == 400
    with transaction():
        Dossier.objects.update(expires_at=clock.now())
    assert client().get(f"{path}zip").status_code == 410
