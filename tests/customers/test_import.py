"""Files in: bad lines stay their own, stopping loses nothing, and what is refused is written down with its reason."""

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from customers import imports
from customers.models import Customer, ImportRun, Interaction
from kaireon.tenancy.context import scope, transaction
from tests.cast import ACME, ADA, GLOBEX, SETUP

pytestmark = pytest.mark.usefixtures("db")


def run(path: Path, *, tenant: str = ACME, **options: Any) -> dict[str, Any]:
    out = StringIO()
    options = {"format": "csv", "json": True, "verbosity": 0, **options}
    call_command("import_customers", path, tenant=tenant, stdout=out, **options)
    return json.loads(out.getvalue())


def counts(report: dict[str, Any]) -> tuple[int, int, int, int]:
    return report["created"], report["updated"], report["unchanged"], report["rejected"]


def numbers(tenant: str = ACME) -> list[str]:
    with scope(tenant_id=tenant, actor=SETUP), transaction():
        return list(Customer.objects.order_by("customer_id").values_list("customer_id", flat=True))


def rejected(report: dict[str, Any]) -> list[tuple[int, str]]:
    with Path(report["rejects"]).open(newline="") as file:
        return [(int(line["line"]), line["field"]) for line in csv.DictReader(file)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "customers.csv"


def test_it_imports_a_file_with_every_script_and_quoted_lines(file):
    file.write_bytes(
        "\ufeffcustomerId;name;address;attributes.tier;birth_date\r\n"
        'c-1;"Müller, Jörg";"Hauptstraße 1\r\n50667 Köln";gold;1980-02-29\r\n'
        'c-2;"李小龍 ""Bruce""";;;\r\n'
        "\r\n"
        "c-3;محمد;;silver;\n".encode()
    )
    assert counts(run(file)) == (3, 0, 0, 0)
    with ADA.here(), transaction():
        first, second, _ = Customer.objects.order_by("customer_id")
    assert (first.name, first.address) == ("Müller, Jörg", "Hauptstraße 1\r\n50667 Köln")
    assert (first.attributes, str(first.birth_date)) == ({"tier": "gold"}, "1980-02-29")
    assert second.name == '李小龍 "Bruce"'


def test_a_bad_line_in_the_middle_takes_no_other_with_it(file):
    lines = ["customerId,name,email", *(f"c-{n:03},Name {n},n{n}@example.com" for n in range(100))]
    lines[10] = "c-bad,only two"
    lines[20] = 'c-bad,"never closed,x@example.com'
    lines[30] = "c-bad,Name,not-an-address"
    lines[40] = 'c-bad,5" disk,y@example.com'
    lines[50] = ",Nobody,z@example.com"
    lines[60] = "c-bad,Nul\x00,z@example.com"
    content = "\n".join(lines).encode()
    content = content.replace(b"Name 70,", b"Name \xff\xfe 70,")
    file.write_bytes(content)
    report = run(file)
    assert counts(report) == (93, 0, 0, 7)
    assert rejected(report) == [
        (11, ""),
        (21, ""),
        (31, "email"),
        (41, ""),
        (51, "customerId"),
        (61, "name"),
        (72, ""),
    ]
    assert len(numbers()) == 93
    assert "c-bad" not in Path(report["rejects"]).read_text()


def test_a_second_run_of_the_same_file_does_nothing_and_says_so(file):
    file.write_text("customerId\nc-1\n")
    run(file)
    again = run(file)
    assert again["alreadyImported"]
    assert counts(again) == (1, 0, 0, 0)
    assert counts(run(file, restart=True)) == (0, 0, 1, 0)


@pytest.mark.parametrize("format_", ["csv", "ndjson"])
def test_it_goes_on_where_it_was_stopped(file, monkeypatch, format_):
    rows = [f"c-{n:04}" if n % 500 else "" for n in range(3500)]
    if format_ == "csv":
        file.write_text("\n".join(["customerId,name", *(f"{number},x" for number in rows)]))
    else:
        file.write_text("\n".join(json.dumps({"customerId": number}) for number in rows))
    store = imports.STORE["customers"]
    batches = 0

    def stop_in_the_third(batch, *, now):
        nonlocal batches
        batches += 1
        outcome = store(batch, now=now)
        if batches == 3:
            raise KeyboardInterrupt
        return outcome

    monkeypatch.setitem(imports.STORE, "customers", stop_in_the_third)
    with pytest.raises(SystemExit) as stopped:
        run(file, format=format_)
    assert stopped.value.code == 130
    # The third batch was rolled back; a crash could also have left its rejects in the file.
    assert len(numbers()) == 2000 - 4
    rejects = file.with_name(f"{file.name}.rejects.csv")
    with rejects.open("a") as half_written:
        half_written.write("9999,half")
    report = run(file, format=format_)
    assert report["resumedAtLine"] in (2000, 2001)
    assert counts(report) == (3500 - 7, 0, 0, 7)
    assert len(numbers()) == 3500 - 7
    first = 2 if format_ == "csv" else 1
    assert rejected(report) == [(first + 500 * n, "customerId") for n in range(7)]


def test_a_dry_run_finds_the_faults_and_stores_nothing(file):
    file.write_text("customerId,email\nc-1,a@example.com\nc-2,nowhere\n")
    report = run(file, dry_run=True)
    assert counts(report) == (1, 0, 0, 1)
    assert rejected(report) == [(3, "email")]
    assert numbers() == []
    with ADA.here(), transaction():
        assert not ImportRun.objects.exists()


def test_interactions_without_a_number_get_one_from_file_and_line(file, tmp_path):
    file.write_text("customerId\nc-1\n")
    run(file)
    facts = tmp_path / "facts.csv"
    facts.write_text(
        "customer_id,kind,occurred_at,amount,context.page\nc-1,purchase,2026-01-01,5.00,/a\nc-9,visit,2026-01-01,,\n"
    )
    report = run(facts, kind="interactions")
    assert (counts(report), rejected(report)) == ((1, 0, 0, 1), [(3, "customerId")])
    assert counts(run(facts, kind="interactions", restart=True)) == (0, 0, 1, 1)
    with ADA.here(), transaction():
        assert Interaction.objects.get().context == {"page": "/a"}


def test_lines_keep_their_numbers_behind_a_record_of_several(file, tmp_path, monkeypatch):
    """The last record of the batch before the stop runs over three lines."""
    file.write_text("customerId\nc-1\n")
    run(file)
    facts = tmp_path / "facts.csv"
    facts.write_text(
        "customerId,kind,occurredAt,context\n"
        'c-1,visit,2026-01-01,"{\n""page"": 1\n}"\nc-1,visit,2026-01-02,\nc-404,visit,2026-01-03,\n'
    )
    monkeypatch.setattr(imports.ingest, "MAX_ROWS", 1)
    store, batches = imports.STORE["interactions"], []

    def stop_in_the_second(batch, *, now):
        batches.append(batch)
        if len(batches) == 2:
            raise KeyboardInterrupt
        return store(batch, now=now)

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setitem(imports.STORE, "interactions", stop_in_the_second)
        run(facts, kind="interactions")
    report = run(facts, kind="interactions")
    assert report["resumedAtLine"] == 4
    assert rejected(report) == [(6, "customerId")]
    assert counts(run(facts, kind="interactions", restart=True))[0] == 0, "the same line is the same interaction"


@pytest.mark.parametrize(
    "line",
    ['{"customerId": ', "[]", '"c-1"', '{"customerId": NaN}', "{" * 5000, '{"customerId": "\\ud800"}', "1" * 5000],
)
def test_a_bad_line_of_json_is_refused_alone(file, line):
    file.write_text(f'{{"customerId": "c-1"}}\n{line}\n{{"customerId": "c-3"}}\n')
    report = run(file, format="ndjson")
    assert counts(report) == (2, 0, 0, 1)
    assert rejected(report)[0][0] == 2


def test_a_line_of_megabytes_is_refused_alone(file):
    file.write_text('{"customerId": "c-1"}\n{"customerId": "' + "x" * 3_000_000 + '"}\n{"customerId": "c-3"}')
    assert counts(run(file, format="ndjson")) == (2, 0, 0, 1)
    assert numbers() == ["c-1", "c-3"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\xff\xfec\x00u\x00", "UTF-16"),
        (b"customerId,shoeSize\n", "shoeSize"),
        (b"customerId,customer_id\n", "twice"),
        (b'customerId,"name\n', "header"),
    ],
)
def test_a_file_it_cannot_use_is_a_clear_message(file, content, said):
    file.write_bytes(content)
    with pytest.raises(CommandError, match=said):
        run(file)


def test_a_missing_file_is_a_clear_message(tmp_path):
    with pytest.raises(CommandError, match="No such file"):
        run(tmp_path / "nothing.csv")


def test_an_unknown_tenant_is_a_clear_message(file):
    file.write_text("customerId\n")
    with pytest.raises(CommandError, match="no active tenant"):
        run(file, tenant="initech")


def test_the_same_file_may_be_imported_by_two_tenants(file):
    file.write_text("customerId\nc-1\n")
    assert counts(run(file)) == (1, 0, 0, 0)
    assert counts(run(file, tenant=GLOBEX)) == (1, 0, 0, 0)
    assert numbers(ACME) == numbers(GLOBEX) == ["c-1"]


def test_of_two_processes_on_the_same_file_one_gives_up(file, monkeypatch):
    file.write_text("customerId\nc-1\n")
    begin = imports.FileImport._begin

    def begin_and_be_overtaken(self, opened):
        begun = begin(self, opened)
        with transaction():
            ImportRun.objects.filter(pk=begun.pk).update(offset=17)
        return begun

    monkeypatch.setattr(imports.FileImport, "_begin", begin_and_be_overtaken)
    with pytest.raises(CommandError, match="Another process"):
        run(file)
    assert numbers() == []
