"""The log as PostgreSQL writes it: the same records as are hashed, the same cells as our own CSV has."""

import csv
import io
import json
import random
from datetime import timedelta
from hashlib import sha256

import psycopg
import pytest
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from audit.chain import leaf_hash
from audit.exports import copying, files, jobs, spelling
from kaireon.lib import clock, csv_safe
from kaireon.lib.canonical import loads_exact
from kaireon.tenancy.context import platform_scope, scope, transaction
from tests.audit.log import WRITER, records, write
from tests.cast import ACME

pytestmark = pytest.mark.usefixtures("db")

ODD: dict[str, object] = {
    "formula": '=HYPERLINK("http://example.com")',
    "text": 'Zoë, "quoted"\nline\r\n\t\\N \\. \\n',
    "numbers": [0.1, -2.5e-300, 2**53 - 1, 1e20, 12345678901234567890],
    "\ufb33": {"\U0001f600": [[], {}, None, True]},
}


def selection(**wanted: object) -> copying.Selection:
    with scope(tenant_id=ACME, actor=WRITER), transaction():
        return jobs.selection(**{"since": None, "until": None, **wanted})  # type: ignore[arg-type]


def copied(format_: str, wanted: copying.Selection | None = None) -> tuple[bytes, copying.Written]:
    wanted = wanted or selection()
    file = io.BytesIO()
    with scope(tenant_id=ACME, actor=WRITER):
        written = copying.write(file, wanted, format_)
    return file.getvalue(), written


def test_each_line_is_the_record_that_was_hashed() -> None:
    write(7, tenant=ACME, changes=ODD)
    log = records(ACME)
    content, written = copied("ndjson")
    lines = [loads_exact(line) for line in content.decode().splitlines()]
    assert [leaf_hash(line) for line in lines] == [row.leaf_hash for row in log]  # type: ignore[arg-type]
    assert (written.records, written.size) == (len(log), len(content))
    assert written.sha256 == sha256(content).hexdigest()


def test_the_table_says_what_our_own_says() -> None:
    write(3, tenant=ACME, changes=ODD)
    log = records(ACME)
    content, written = copied("csv")
    table = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    ours = list(csv.DictReader(io.StringIO("".join(files.as_csv(map(files.as_dict, log))), newline="")))
    for cells in (*table, *ours):
        for name in ("changes", "before", "after"):
            cells[name] = loads_exact(cells[name]) if cells[name] else None
    assert table == ours
    assert written.records == len(log)


@pytest.mark.parametrize("slice_", [1, 2, 3, 1000])
def test_slices_join_without_seam(monkeypatch: pytest.MonkeyPatch, slice_: int) -> None:
    write(5, tenant=ACME)
    records(ACME)
    whole = copied("csv")[0]
    heard: list[int] = []
    monkeypatch.setattr(copying, "SLICE", slice_)
    wanted = selection()
    file = io.BytesIO()
    with scope(tenant_id=ACME, actor=WRITER):
        copying.write(file, wanted, "csv", moved=heard.append)
    assert file.getvalue() == whole
    assert heard == [*range(slice_, wanted.last, slice_), wanted.last]


def test_what_is_wanted_is_what_is_written() -> None:
    write(4, tenant=ACME)
    log = records(ACME)
    content, _ = copied("ndjson", selection(action="test.event"))
    assert [json.loads(line)["seq"] for line in content.splitlines()] == [
        r.seq for r in log if r.action == "test.event"
    ]
    content, _ = copied("ndjson", selection(entity_type="Thing", since=log[-2].timestamp, until=log[-1].timestamp))
    assert [json.loads(line)["seq"] for line in content.splitlines()] == [log[-2].seq, log[-1].seq]
    later = clock.now() + timedelta(days=1)
    assert copied("ndjson", selection(since=later))[0] == b""


def test_a_log_with_a_gap_is_not_given_out_as_whole(superuser: psycopg.Connection) -> None:
    write(4, tenant=ACME)
    middle = records(ACME)[3]
    superuser.execute("SET session_replication_role = replica")
    superuser.execute("DELETE FROM audit_record WHERE id = %s", [middle.pk])
    with pytest.raises(copying.RecordsMissing, match="1 records between"):
        copied("csv")


def test_a_json_null_is_null_as_nothing_is(superuser: psycopg.Connection) -> None:
    write(2, tenant=ACME, changes={"a": 1})
    row = records(ACME)[-1]
    superuser.execute("SET session_replication_role = replica")
    superuser.execute("UPDATE audit_record SET changes = 'null' WHERE id = %s", [row.pk])
    last = json.loads(copied("ndjson")[0].splitlines()[-1])
    assert (last["changes"], last["before"], last["entityName"]) == (None, None, None)


def test_slices_larger_than_memory_go_by_way_of_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    write(6, tenant=ACME, changes={"noise": "x" * 5000})
    records(ACME)
    whole = copied("ndjson")[0]
    for name, value in (("SLICE", 2), ("_IN_MEMORY", 1000), ("_BLOCK_BYTES", 300)):
        monkeypatch.setattr(copying, name, value)
    assert copied("ndjson")[0] == whole


def test_large_records_travel_alone_and_nothing_else_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    write(300, tenant=ACME, changes=ODD)
    asked: list[str] = []

    def noted(name: str) -> None:
        query = getattr(spelling, name)

        def told(conditions: str) -> str:
            asked.append(name)
            return str(query(conditions))

        monkeypatch.setattr(spelling, name, told)

    noted("lines")
    noted("lines_together")
    log = records(ACME)
    content, written = copied("ndjson")
    assert asked == ["lines_together"]
    assert written.records == len(log) == content.count(b"\n")

    noise = random.Random(1).randbytes(2 * spelling.LARGE_BYTES).hex()
    write(1, tenant=ACME, changes={"noise": noise})
    log = records(ACME)
    asked.clear()
    content, written = copied("ndjson")
    assert asked == ["lines_together", "lines"]
    assert written.records == len(log)
    assert [leaf_hash(loads_exact(line)) for line in content.decode().splitlines()] == [row.leaf_hash for row in log]  # type: ignore[arg-type]


def test_no_slice_reads_the_whole_table(superuser: psycopg.Connection) -> None:
    write(30, tenant=ACME)
    records(ACME)
    superuser.execute("ANALYZE audit_record")
    wanted = selection()
    given: dict[str, str | int] = {"tenant": ACME, "first": 1, "last": wanted.last}
    with scope(tenant_id=ACME, actor=WRITER), transaction(), connection.cursor() as cursor:
        cursor.execute(copying._SETTINGS)
        for query in (spelling.cells, spelling.lines, spelling.lines_together):
            inner = query("").strip().removeprefix("COPY (").partition(") TO STDOUT")[0]
            cursor.execute(f"EXPLAIN {inner}", given)
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "Index Scan using audit_record_seq" in plan, plan
            assert "Sort" not in plan


def test_another_tenants_scope_gives_nothing() -> None:
    write(2, tenant=ACME)
    records(ACME)
    wanted = selection(action="test.event")
    with platform_scope(actor=WRITER):
        assert copying.write(io.BytesIO(), wanted, "ndjson").records == 0


CELLS = st.text(
    st.one_of(
        st.characters(exclude_characters="\x00", exclude_categories=["Cs"]),
        st.sampled_from(sorted((csv_safe.STARTERS | set(csv_safe.INVISIBLE)) - {"\x00"})),
        st.sampled_from("aZ09~{[_'\"/:@`\x7f"),
    ),
    max_size=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CELLS, min_size=40, max_size=40))
@example(
    ["", " ", "=", " =1", "\u3000＝", "'=", "A=", "~=", "{=", "\x7f", "\ufeff@", "9-", ":", "@", "/", "\\=", "\n", "é"]
)
def test_sql_neutralises_what_python_does(cells: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {spelling.neutral('cell')} FROM unnest(%s::text[]) WITH ORDINALITY c (cell, n) ORDER BY n", [cells]
        )
        assert [found for (found,) in cursor.fetchall()] == [csv_safe.neutral(cell) for cell in cells]
