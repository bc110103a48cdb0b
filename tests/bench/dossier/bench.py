"""The packages of subjects with few and with many rows, in a database of millions, beside hand-written SQL."""

import time
from functools import partial

from tests.bench.dossier import subjects
from tests.bench.dossier.subjects import Subject
from tests.bench.facts import machine, python
from tests.bench.noise import judged
from tests.bench.options import Options
from tests.bench.rounds import Contender, Heat, Turn, play
from tests.bench.section import Section, Table
from tests.bench.servers import servers
from tests.bench.talker import Talker

TITLE = "What an access package costs"
TENANT = "tenant-01"
ROWS = 5_000_000
QUICK_ROWS = 100_000
# Of others, each.
EACH = 100
# How many times as long as the SQL an answer may take, by the subject's rows.
TARGETS = {100: 3.0, 10_000: 2.0, 100_000: 1.5}
MOST_MIB = 150.0


def run(options: Options) -> Section:
    rows = options.rows or (QUICK_ROWS if options.quick else ROWS)
    rounds = options.rounds or (3 if options.quick else 7)
    people = [Subject(number=number, rows=count) for number, count in enumerate(TARGETS)]
    began = time.monotonic()
    with servers(settings={"shared_buffers": "2GB"}) as running:
        environment = running.product(settings="kaireon.settings")
        start = partial(Talker, "tests.bench.dossier.worker", TENANT, environment=environment)
        talkers = {"sql": start(), "ours": start()}
        try:
            talkers["ours"].ask({"tenant": True})
            subjects.load(
                running.postgres.url("ours"),
                tenant=TENANT,
                others=max(1, rows // EACH),
                each=EACH,
                subjects=people,
                moved=options.progress,
            )
            heats = [heat(subject, talkers["sql"], talkers["ours"]) for subject in people]
            for made in heats:
                for contender in made.everybody:
                    contender.measure()
            play(heats, rounds=rounds, progress=options.progress)
            facts = running.facts()
        finally:
            for talker in talkers.values():
                talker.stop()
    facts = machine("PostgreSQL's processes share the cores with those they serve") | facts
    facts |= python("django", "psycopg", "cryptography")
    return section(heats, rows=rows, rounds=rounds, facts=facts, took=time.monotonic() - began)


def heat(subject: Subject, by_hand: Talker, worker: Talker) -> Heat:
    """Both write the same, which is seen once before anything is measured."""
    done = worker.ask({"export": subject.name})
    by_hand.ask({"same": done["request"], "number": subject.name})
    return Heat(
        title=f"{subject.rows:,} rows",
        floor=Contender(
            name="sql",
            title="Hand-written SQL",
            measure=partial(turn, by_hand, {"sql": subject.name, "request": done["request"]}),
        ),
        others=[
            Contender(name="ours", title="Kaireon's worker", measure=partial(turn, worker, {"export": subject.name}))
        ],
    )


def turn(talker: Talker, order: dict[str, str]) -> Turn:
    done = talker.ask(order)
    more = {"ms": done["seconds"] * 1000, "bytes": float(done["bytes"]), "mib": done["mib"]}
    return Turn(rate=1 / done["seconds"], more=more)


def section(heats: list[Heat], *, rows: int, rounds: int, facts: dict[str, str], took: float) -> Section:
    return Section(
        title=TITLE,
        introduction=_INTRODUCTION.format(rows=rows, rounds=rounds, minutes=max(1, round(took / 60))),
        tables=[_table(made) for made in heats],
        verdicts=verdicts(heats),
        facts=facts,
        took=took,
        rounds=[row for made in heats for row in made.json()],
    )


def verdicts(heats: list[Heat]) -> dict[str, str]:
    said = {}
    for made, most in zip(heats, TARGETS.values(), strict=True):
        (ours,) = made.others
        times = 1 / ours.ratio
        said[made.title] = (
            f"{times:.2f} times as long as the SQL (at most {most:g}: {judged(times <= most, made.noise)})"
        )
    # It does not depend on what else the machine does, and never goes down again.
    mib = max(made.others[0].median_of("mib") for made in heats)
    said["Memory of the worker"] = f"{mib:.0f} MiB (under {MOST_MIB:.0f}: {'holds' if mib < MOST_MIB else 'missed'})"
    return said


def _table(made: Heat) -> Table:
    return Table(
        title=f"A subject of {made.title}",
        headings=["", "ms", "times the SQL", "min–max", "JSON", "memory"],
        cells=[
            [
                c.title,
                f"{c.median_of('ms'):,.1f}",
                f"{1 / c.ratio:.2f}",
                "{:.2f}–{:.2f}".format(*(1 / ratio for ratio in reversed(c.ratio_range))),
                f"{c.median_of('bytes') / 1024:,.0f} KiB",
                f"{c.median_of('mib'):.0f} MiB",
            ]
            for c in made.everybody
        ],
        note=f"The floor itself varied by ±{made.noise:.0%}.",
    )


_INTRODUCTION = """\
Repeat it with `make bench BENCH=dossier`, about {minutes} minutes; `.venv/bin/python -m tests.bench dossier --quick` is
a look among fewer rows of others, `--rows` says among how many; `--write` puts it here.

{rows:,} interactions of others in one tenant, and three subjects. *Hand-written SQL* opens a transaction as the product
does, has PostgreSQL write each section as JSON (`COPY (SELECT row_to_json(…)) TO STDOUT`) and puts it into a file in
clear. *Kaireon's worker* does what it does with a queued request: claims the job, drains the log, reads all sections at
one moment, opens the sealed values in the subject's records, hashes, seals and stores the dossier, and commits it with
the request, its record and the end of the job. That both write the same is compared before. Memory is the most that the
process ever held, Django and all.

Medians of {rounds} rounds, each right beside a turn of the SQL.
"""
