"""The export of a tenant's interactions into batches, beside a raw COPY of the same rows into one file."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg

from tests.bench import footprint
from tests.bench.dossier import subjects
from tests.bench.facts import machine, python
from tests.bench.noise import judged
from tests.bench.options import Options
from tests.bench.rounds import Contender, Heat, Turn, play
from tests.bench.section import Section
from tests.bench.servers import servers
from tests.bench.talker import Talker

TITLE = "What exporting interactions costs"
ROWS = 1_000_000
QUICK_ROWS = 100_000
EACH = 245
TENANT = "tenant-01"
# Of the rate of the raw COPY.
TARGET = 0.7
_TABLES = ("customers_exportentry", "customers_exportbatch", "customers_exportcheckpoint", "customers_objectremoval")


def run(options: Options) -> Section:
    rows = options.rows or (QUICK_ROWS if options.quick else ROWS)
    rounds = options.rounds or (3 if options.quick else 7)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, servers(settings={"shared_buffers": "2GB"}) as running:
        environment = {
            **running.product(settings="kaireon.settings"),
            "OBJECT_ROOT": str(Path(folder) / "objects"),
            "LOG_LEVEL": "WARNING",
        }
        url = running.postgres.url("ours")
        writer = Talker("tests.bench.interactions.writer", TENANT, environment=environment)
        in_columns = Talker(
            "tests.bench.interactions.writer",
            TENANT,
            environment=environment | {"EXPORT_INTERACTIONS_FORMAT": "parquet"},
        )
        try:
            writer.ask({"tenant": True})
            subjects.load(
                url,
                tenant=TENANT,
                others=max(1, rows // EACH),
                each=EACH,
                subjects=[],
                rising=True,
                moved=options.progress,
            )
            made = heat(writer, in_columns, url)
            for contender in made.everybody:
                contender.measure()
            play([made], rounds=rounds, progress=options.progress)
            facts = running.facts()
        finally:
            writer.stop()
            in_columns.stop()
    facts = machine("PostgreSQL's processes share the cores with those they serve") | facts
    return section(
        made, rows=rows, rounds=rounds, facts=facts | python("psycopg", "pyarrow"), took=time.monotonic() - began
    )


def heat(writer: Talker, in_columns: Talker, url: str) -> Heat:
    def exporting(by: Talker) -> Callable[[], Turn]:
        def exported() -> Turn:
            _from_the_beginning(url)
            return footprint.asking(by, {"write": "export"}, "bytes")()

        return exported

    return Heat(
        title="one tenant",
        floor=Contender(name="copy", title="Raw COPY", measure=footprint.asking(writer, {"write": "copy"}, "bytes")),
        others=[
            Contender(name="export", title="Export", measure=exporting(writer)),
            Contender(name="parquet", title="Export as Parquet", measure=exporting(in_columns)),
        ],
    )


def _from_the_beginning(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as root:
        root.execute("SET session_replication_role = replica")
        for table in _TABLES:
            root.execute(f"DELETE FROM public.{table}")


def section(made: Heat, *, rows: int, rounds: int, facts: dict[str, str], took: float) -> Section:
    table = footprint.table(
        made,
        title=f"{rows:,} interactions",
        of="of the raw COPY",
        note=f"The raw COPY itself varied by ±{made.noise:.0%}.",
        more={"files": lambda c: f"{c.median_of('bytes') / 2**20:,.0f} MiB"},
    )
    headings = ["rows/s" if heading == "records/s" else heading for heading in table.headings]
    return Section(
        title=TITLE,
        introduction=_INTRODUCTION.format(rows=rows, rounds=rounds, minutes=max(1, round(took / 60))),
        tables=[replace(table, headings=headings)],
        verdicts=verdicts(made),
        facts=facts,
        took=took,
        rounds=made.json(),
    )


def verdicts(made: Heat) -> dict[str, str]:
    export, _parquet = made.others
    return {
        export.title: f"{export.ratio:.2f} of the rate of the raw COPY"
        f" (at least {TARGET}: {judged(export.ratio >= TARGET, made.noise)})",
        "Memory": footprint.verdict([export], of="a whole export"),
    }


_INTRODUCTION = """\
Repeat it with `make bench BENCH=interactions`, about {minutes} minutes;
`.venv/bin/python -m tests.bench interactions --quick` is a look at a tenth of the rows; `--write` puts it here.

One tenant with {rows:,} interactions, their ids rising as those that the product makes. The *raw COPY* is
`COPY (SELECT row_to_json(…)) TO STDOUT` of the same members, in no order, each row written to one file as it comes,
nothing synced. The *export* is what the job does: in order of arrival, 10,000 rows a file, read over two connections,
numbers that JSON cannot carry as text, hashed, synced to the disk, each with its manifest and its place committed.
Client and server have two cores together. *As Parquet* it is the same, by a process of its own: typed columns,
compressed by zstd. Of that nothing is promised.

Medians of {rounds} rounds, in each of which each export stands right beside a turn of the raw COPY.
"""
