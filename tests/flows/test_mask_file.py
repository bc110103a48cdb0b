"""`manage.py mask_file`: columns hidden, everything else as it was, refused lines listed."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from kaireon.lib.masking import KeyedHash, hash_value
from kaireon.tenancy.keyring import keyring

CSV = 'id;email;note\r\n1;ada@example.com;"a; b"\r\n2;bo@example.com\r\n3;;=1+1\r\n'


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "in.csv").write_text(CSV)
    (tmp_path / "in.ndjson").write_text('{"email": "ada@example.com"}\n{"other": 1}\n')
    return tmp_path


def run(here: Path, *more: str, name: str = "in.csv", **options: Any) -> dict[str, Any]:
    out = StringIO()
    given = {"format": "csv", "columns": "email", "mode": "mask", "json": True, "verbosity": 0, **options}
    call_command("mask_file", str(here / name), str(here / "out"), stdout=out, stderr=StringIO(), **given)
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def test_it_masks_columns_and_lists_what_it_could_not_read(here: Path) -> None:
    answer = run(here)
    assert (here / "out").read_bytes().decode() == ('id;email;note\r\n1;a***@example.com;"a; b"\r\n3;;\'=1+1\r\n')
    assert answer == {"rows": 2, "values": 1, "rejected": 1, "rejects": str(here / "out.rejects.csv")}
    rejects = (here / "out.rejects.csv").read_text()
    assert "has 2 columns, the header has 3." in rejects
    assert "bo@example.com" not in rejects


def test_it_hashes_plainly_and_by_key(here: Path, db: str) -> None:
    run(here, mode="hash", algorithm="sha512")
    assert hash_value("ada@example.com", "sha512") in (here / "out").read_text()
    run(here, mode="hmac", tenant="acme", purpose="research")
    keyed = KeyedHash(keyring=keyring(), tenant_id="acme", purpose="research")
    assert keyed("ada@example.com") in (here / "out").read_text()


def test_it_masks_ndjson_numbers_too(here: Path) -> None:
    (here / "in.ndjson").write_text('{"a": 4111111111111111, "b": "é"}\nno\n{"a": {"b": 1}}\n{"a": null}\n')
    answer = run(here, name="in.ndjson", format="ndjson", columns="a")
    assert (here / "out").read_text() == '{"a": "************1111", "b": "é"}\n{"a": null}\n'
    assert (answer["rows"], answer["rejected"]) == (2, 2)


def test_without_rejects_there_is_no_list(here: Path) -> None:
    (here / "in.csv").write_text("email\nada@example.com\n")
    assert run(here)["rejects"] is None
    assert not (here / "out.rejects.csv").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": "nobody"}, "no column 'nobody'"),
        ({"columns": " , "}, "at least one column"),
        ({"name": "in.ndjson", "format": "ndjson", "columns": "email,emial"}, "no row has 'emial'"),
        ({"mode": "hmac"}, "needs --tenant and --purpose"),
        ({"name": "missing.csv"}, "No such file"),
        ({"rejects": "same"}, "three files"),
    ],
)
def test_it_says_what_is_wrong_and_writes_nothing(here: Path, options: dict[str, Any], words: str) -> None:
    if options.get("rejects"):
        options = {"rejects": here / "out"}
    with pytest.raises(CommandError, match=words):
        run(here, **options)
    assert not (here / "out").exists()
    assert not (here / ".out.part").exists()


def test_an_unknown_tenant_has_no_key(here: Path, db: str) -> None:
    with pytest.raises(CommandError, match="no active tenant"):
        run(here, mode="hmac", tenant="nobody", purpose="p")


@pytest.mark.parametrize("content", [b"\xff\xfea\x00", b"", b"a,a\n1,2\n"])
def test_a_file_that_cannot_be_read_is_refused_whole(here: Path, content: bytes) -> None:
    (here / "in.csv").write_bytes(content)
    with pytest.raises(CommandError):
        run(here, columns="a")
    assert not (here / "out").exists()
