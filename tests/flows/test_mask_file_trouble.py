"""`manage.py mask_file` on files as they come, and ended in the middle: run again it does what it would have done."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from kaireon.flows.files import MAX_LINE_BYTES
from kaireon.lib.masking import mask


def run(source: Path, **options: Any) -> dict[str, Any]:
    out, told = io.StringIO(), io.StringIO()
    given = {"columns": "email", "mode": "mask", "format": source.suffix[1:], "json": True, **options}
    call_command("mask_file", str(source), str(source.with_name("out")), stdout=out, stderr=told, **given)
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def refused(source: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(source.with_name("out.rejects.csv").read_text())))[1:]


def test_a_csv_of_everything_that_goes_wrong(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(
        "\ufeffid,email,note\r\n".encode()
        + b"1,ada@example.com,plain\r\n"
        + b"2,bo@example.com\r\n"
        + b"3,cy@example.com,\xff\xfe\r\n"
        + b'4,"dan@example.com,never closed\r\n'
        + b"5,=cmd|'/C'!A0@example.com,=1+1\r\n"
        + b'6,eve@example.com,"over\nlines ""quoted"""\r\n'
        + b"7,fay@example.com," + b"x" * MAX_LINE_BYTES + b"\r\n"
        + b"\r\n"
        + "8,用户@例子.公司,ü 好 🎉\r\n".encode()
        + b"9,+49 170 1234567,\t=tab\r\n"
        + b"10,123-45-6789,last without an end"
    )  # fmt: skip
    answer = run(source)
    assert (answer["rows"], answer["values"], answer["rejected"]) == (6, 6, 4)
    text = (tmp_path / "out").read_bytes().decode()
    assert not text.startswith("\ufeff")
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(text, newline=""))}
    assert {key: row["email"] for key, row in rows.items()} == {
        "1": "a***@example.com",
        "5": "'=***@example.com",
        "6": "e***@example.com",
        "8": "用***@例子.公司",
        "9": "'+** *** ***4567",
        "10": "***-**-6789",
    }
    assert (rows["5"]["note"], rows["9"]["note"]) == ("'=1+1", "'\t=tab")
    assert (rows["6"]["note"], rows["8"]["note"]) == ('over\nlines "quoted"', "ü 好 🎉")
    assert [(line, reason) for line, _, reason in refused(source)] == [
        ("3", "has 2 columns, the header has 3."),
        ("4", "is not UTF-8 at byte 18."),
        ("5", "is not CSV: check its quotation marks."),
        ("9", f"is longer than {MAX_LINE_BYTES} bytes."),
    ]
    assert "@example" not in (tmp_path / "out.rejects.csv").read_text()


def test_ndjson_of_everything_that_goes_wrong(tmp_path: Path) -> None:
    source = tmp_path / "in.ndjson"
    good = [
        '{"email": "ada@example.com", "n": 12345678901234567890, "x": 0.1}',
        '{"email": null, "é": "ü 好 🎉"}',
        '{"email": "", "other": [1, {"a": "b"}]}',
        r'{"email": "\ud800@example.com", "note": "half \udc00 a pair"}',
        '{"email": 4111111111111111}',
        '{"email": true, "email": "bo@example.com"}',
    ]
    bad = [
        "no json",
        '["email"]',
        '{"email": {"nested": "cy@example.com"}}',
        '{"email": "x", "n": NaN}',
        '{"email": "x", "n": 1e400}',
        '{"email": "x", "n": ' + "9" * 5000 + "}",
        "[" * 100_000,
        '{"email": "' + "x" * MAX_LINE_BYTES + '"}',
        '{"email": "dan@example.com"',
    ]
    source.write_text("\ufeff" + "\n".join([*good, "", *bad, '{"email": "last@example.com"}']))
    answer = run(source)
    assert (answer["rows"], answer["rejected"]) == (len(good) + 1, len(bad))
    lines = (tmp_path / "out").read_bytes().decode().splitlines()
    assert lines == [
        '{"email": "a***@example.com", "n": 12345678901234567890, "x": 0.1}',
        '{"email": null, "é": "ü 好 🎉"}',
        '{"email": "", "other": [1, {"a": "b"}]}',
        r'{"email": "\ud800***@example.com", "note": "half \udc00 a pair"}',
        '{"email": "************1111"}',
        '{"email": "b***@example.com"}',
        '{"email": "l***@example.com"}',
    ]
    assert [int(line) for line, _, _ in refused(source)] == list(range(len(good) + 2, len(good) + 2 + len(bad)))


@pytest.mark.parametrize("depth", [100, 500, 900, 950, 980, 990, 995, 1000, 5000])
def test_no_depth_of_nesting_ends_it(tmp_path: Path, depth: int) -> None:
    source = tmp_path / "in.ndjson"
    source.write_text(
        '{"email": "a@example.com", "deep": ' + "[" * depth + "]" * depth + '}\n{"email": "b@example.com"}'
    )
    answer = run(source)
    assert answer["rows"] + answer["rejected"] == 2


def test_what_was_refused_before_is_no_news_of_a_clean_run(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("id,email\n1\n")
    run(source)
    assert len(refused(source)) == 1
    source.write_text("id,email\n1,ada@example.com\n")
    run(source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out"]


ROWS = 150_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("large") / "in.csv"
    with source.open("w") as file:
        file.write("id,email,phone\n")
        file.writelines(
            f"{n},p{n}@example.com,(555) 123-{n % 10_000:04}\n" if n % 1000 else "torn\n" for n in range(ROWS)
        )
    return source


def begin(source: Path) -> "subprocess.Popen[str]":
    command = ["mask_file", str(source), str(source.with_name("out")), "--format", "csv", "--columns", "email,phone"]
    return subprocess.Popen(
        [sys.executable, "manage.py", *command, "--mode", "mask"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_ended_in_the_middle_it_leaves_what_was_there_and_begins_anew(
    db: str, large: Path, how: signal.Signals
) -> None:
    out, listed, part = (large.with_name(name) for name in ("out", "out.rejects.csv", ".out.part"))
    out.write_text("from before")
    listed.write_text("from before")
    process = begin(large)
    while not (part.exists() and part.stat().st_size > 100_000):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(how)
    _, told = process.communicate(timeout=60)
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    assert "Traceback" not in told
    assert (out.read_text(), listed.read_text()) == ("from before", "from before")
    if how == signal.SIGINT:
        assert not part.exists()

    again = begin(large)
    told, progress = again.communicate(timeout=120)
    assert again.returncode == 0, progress
    assert "149,850 rows written, 299,700 values hidden, 150 refused." in told
    assert "100%" in progress
    assert sorted(path.name for path in large.parent.iterdir()) == ["in.csv", "out", "out.rejects.csv"]
    lines = out.read_text().splitlines()
    assert len(lines) == 1 + ROWS - ROWS // 1000
    assert lines[1] == f"1,{mask('p1@example.com')},(***) ***-0001"
    assert lines[-1] == "149999,p***@example.com,(***) ***-9999"
    assert len(listed.read_text().splitlines()) == 1 + ROWS // 1000
