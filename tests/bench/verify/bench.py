"""Verification of a whole log, on one core and on two, beside merely reading the same rows."""

import time

from tests.bench import biglog, footprint
from tests.bench.facts import machine, python
from tests.bench.noise import judged
from tests.bench.options import Options
from tests.bench.rounds import Contender, Heat, play
from tests.bench.section import Section
from tests.bench.servers import Servers, servers
from tests.bench.talker import Talker

TITLE = "What verifying the log costs"
RECORDS = 1_000_000
QUICK_RECORDS = 100_000
# Of those that the ORM checks in a turn: it takes the same time for each.
SAMPLE = 20_000
TENANT = "tenant-01"
# Of the rate of reading, and of the ORM's.
TARGETS = {"one": 0.25, "two": 0.35}
BEYOND_ORM = 5.0

Order = dict[str, object]


def run(options: Options) -> Section:
    records = QUICK_RECORDS if options.quick else RECORDS
    rounds = options.rounds or (3 if options.quick else 7)
    began = time.monotonic()
    # A whole log in memory, so that nobody measures the disk.
    with servers(settings={"shared_buffers": "2GB"}) as running:
        environment = running.product(settings="kaireon.settings")
        _load(running, environment, records, options)
        readers = {
            name: Talker("tests.bench.verify.reader", TENANT, str(cores), environment=environment)
            for name, cores in {"copy": 1, "one": 1, "two": 2, "orm": 1, "loose": 1}.items()
        }
        try:
            made = heat(readers)
            for contender in made.everybody:
                contender.measure()
            play([made], rounds=rounds, progress=options.progress)
            facts = running.facts()
        finally:
            for reader in readers.values():
                reader.stop()
    facts = machine("PostgreSQL's processes share the cores with those they serve") | facts
    return section(
        made, records=records, rounds=rounds, facts=facts | python("psycopg", "orjson"), took=time.monotonic() - began
    )


def _load(running: Servers, environment: dict[str, str], records: int, options: Options) -> None:
    prover = Talker("tests.bench.proof.prover", environment=environment)
    try:
        prover.ask({"tenants": [TENANT]})
        biglog.load(running.postgres.url("ours"), {TENANT: records}, moved=options.progress)
        options.progress("signing checkpoints")
        prover.ask({"commit": {TENANT: records}})
    finally:
        prover.stop()


def heat(readers: dict[str, Talker]) -> Heat:
    def contender(name: str, title: str, order: Order) -> Contender:
        return Contender(name=name, title=title, measure=footprint.asking(readers[name], order))

    return Heat(
        title="one log",
        floor=contender("copy", "Reading by COPY, one core", {"read": "copy"}),
        others=[
            contender("one", "Verifying, one core", {"read": "verify", "jobs": 1}),
            contender("two", "Verifying, two cores", {"read": "verify", "jobs": 2}),
            contender("orm", "The same checks by the ORM, one core", {"read": "orm", "records": SAMPLE, "exact": True}),
            contender("loose", "The ORM with rounded numbers", {"read": "orm", "records": SAMPLE, "exact": False}),
        ],
    )


def section(made: Heat, *, records: int, rounds: int, facts: dict[str, str], took: float) -> Section:
    return Section(
        title=TITLE,
        introduction=_INTRODUCTION.format(
            records=records, sample=SAMPLE, rounds=rounds, minutes=max(1, round(took / 60))
        ),
        tables=[
            footprint.table(
                made,
                title=f"{records:,} records",
                of="of reading",
                note=f"Reading itself varied by ±{made.noise:.0%}.",
            )
        ],
        verdicts=verdicts(made),
        facts=facts,
        took=took,
        rounds=made.json(),
    )


def verdicts(made: Heat) -> dict[str, str]:
    by_name = {contender.name: contender for contender in made.others}
    said = {}
    for name, target in TARGETS.items():
        ratio = by_name[name].ratio
        held = judged(ratio >= target, made.noise)
        said[by_name[name].title] = f"{ratio:.2f} of the rate of reading (at least {target}: {held})"
    times = by_name["one"].ratio / by_name["orm"].ratio
    rounded = by_name["one"].ratio / by_name["loose"].ratio
    said["Beside the ORM"] = (
        f"{times:.1f} times as fast (at least {BEYOND_ORM:.0f}: {judged(times >= BEYOND_ORM, made.noise)});"
        f" {rounded:.1f} times as fast as the ORM with rounded numbers"
    )
    said["Memory"] = footprint.verdict((by_name[name] for name in TARGETS), of="a whole verification")
    return said


_INTRODUCTION = """\
Repeat it with `make bench BENCH=verify`, about {minutes} minutes; `.venv/bin/python -m tests.bench verify --quick` is a
look at a tenth of the log; `--write` puts it here.

A log of {records:,} records under signed checkpoints, whole in PostgreSQL's memory. *Reading* is `COPY` in its binary
format, every row received and thrown away. *Verifying* is what `audit_verify` does: canonical form, integrity hash,
link, number and leaf of every record, the tree against the newest checkpoint, and the tiles against both. On one core
the reader and the process of PostgreSQL that serves it share that core; on two, two processes read. *The ORM* makes an
object of each row and asks `audit/chain.py` and `audit/tree/merkle.py` the same, of {sample:,} records, with JSON read
so that no number is rounded; *with rounded numbers*, JSON is what Django makes of it, and 0.1 in the place of a number
very near it is not seen. Memory is
the most that any one process ever held, and how much of it was not there before the log was touched: the rest is the
product itself, loaded.

Medians of {rounds} rounds, in each of which everybody stands right beside a turn of reading.
"""
