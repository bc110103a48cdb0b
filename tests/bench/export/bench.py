"""The export of a whole log as NDJSON and CSV, beside a raw COPY of the same rows into a file."""

import time

from tests.bench import biglog, footprint
from tests.bench.facts import machine, python
from tests.bench.noise import judged
from tests.bench.options import Options
from tests.bench.rounds import Contender, Heat, play
from tests.bench.section import Section
from tests.bench.servers import Servers, servers
from tests.bench.talker import Talker

TITLE = "What exporting the log costs"
RECORDS = 1_000_000
QUICK_RECORDS = 100_000
TENANT = "tenant-01"
# Of the rate of the raw COPY.
TARGET = 0.8


def run(options: Options) -> Section:
    records = QUICK_RECORDS if options.quick else RECORDS
    rounds = options.rounds or (3 if options.quick else 7)
    began = time.monotonic()
    with servers(settings={"shared_buffers": "2GB"}) as running:
        environment = running.product(settings="kaireon.settings")
        _load(running, environment, records, options)
        writers = {
            name: Talker("tests.bench.export.writer", TENANT, environment=environment)
            for name in ("copy", "ndjson", "csv")
        }
        try:
            made = heat(writers)
            for contender in made.everybody:
                contender.measure()
            play([made], rounds=rounds, progress=options.progress)
            facts = running.facts()
        finally:
            for writer in writers.values():
                writer.stop()
    facts = machine("PostgreSQL's processes share the cores with those they serve") | facts
    return section(made, records=records, rounds=rounds, facts=facts | python("psycopg"), took=time.monotonic() - began)


def _load(running: Servers, environment: dict[str, str], records: int, options: Options) -> None:
    prover = Talker("tests.bench.proof.prover", environment=environment)
    try:
        prover.ask({"tenants": [TENANT]})
        biglog.load(running.postgres.url("ours"), {TENANT: records}, moved=options.progress)
    finally:
        prover.stop()


def heat(writers: dict[str, Talker]) -> Heat:
    def contender(name: str, title: str) -> Contender:
        return Contender(name=name, title=title, measure=footprint.asking(writers[name], {"write": name}, "bytes"))

    return Heat(
        title="one log",
        floor=contender("copy", "Raw COPY"),
        others=[contender("ndjson", "NDJSON"), contender("csv", "CSV")],
    )


def section(made: Heat, *, records: int, rounds: int, facts: dict[str, str], took: float) -> Section:
    return Section(
        title=TITLE,
        introduction=_INTRODUCTION.format(records=records, rounds=rounds, minutes=max(1, round(took / 60))),
        tables=[
            footprint.table(
                made,
                title=f"{records:,} records into a file",
                of="of the raw COPY",
                note=f"The raw COPY itself varied by ±{made.noise:.0%}.",
                more={"file": lambda c: f"{c.median_of('bytes') / 2**20:,.0f} MiB"},
            )
        ],
        verdicts=verdicts(made),
        facts=facts,
        took=took,
        rounds=made.json(),
    )


def verdicts(made: Heat) -> dict[str, str]:
    said = {
        other.title: f"{other.ratio:.2f} of the rate of the raw COPY"
        f" (at least {TARGET}: {judged(other.ratio >= TARGET, made.noise)})"
        for other in made.others
    }
    said["Memory"] = footprint.verdict(made.others, of="a whole export")
    return said


_INTRODUCTION = """\
Repeat it with `make bench BENCH=export`, about {minutes} minutes; `.venv/bin/python -m tests.bench export --quick` is a
look at a tenth of the log; `--write` puts it here.

A log of {records:,} records, whole in PostgreSQL's memory. The *raw COPY* is `COPY (SELECT …) TO STDOUT` of the same
columns, as they are stored, in the order of `seq`, each row written to a file as it comes. *NDJSON* and *CSV* are what
`audit_export --stream` and the job of `POST /api/v1/audit-exports` do: the fields of the contract, moments as RFC 3339,
JSON escaped, in CSV no cell that a spreadsheet would run, counted and hashed with SHA-256 on the way, over two
connections. Client and server have two cores together. Memory is the most that the writing process ever held, and how
much of it was not there before: the rest is the product itself.

Medians of {rounds} rounds, in each of which everybody stands right beside a turn of the raw COPY.
"""
