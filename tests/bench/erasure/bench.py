"""People with 10,000 rows erased, beside the plain statements that do the same to the same rows."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

import psycopg

from tests.bench.dossier import subjects
from tests.bench.dossier.subjects import Subject
from tests.bench.facts import machine, python
from tests.bench.noise import within
from tests.bench.options import Options
from tests.bench.rounds import Contender, Heat, Turn, play
from tests.bench.section import Section, Table
from tests.bench.servers import servers
from tests.bench.talker import Talker

TITLE = "What an erasure costs"
TENANT = "tenant-01"
ROWS = 5_000_000
QUICK_ROWS = 200_000
EACH = 245
SIZE = 10_000
TARGET = 3.0


class WrongRows(RuntimeError):
    """Other rows are gone than should be."""


def run(options: Options) -> Section:
    rows = options.rows or (QUICK_ROWS if options.quick else ROWS)
    rounds = options.rounds or (3 if options.quick else 11)
    # Two for each pair in a round, and three for the turns that are not counted.
    people = [Subject(number=number, rows=SIZE) for number in range(4 * rounds + 3)]
    began = time.monotonic()
    with servers(settings={"shared_buffers": "2GB"}) as running:
        environment = {**running.product(settings="kaireon.settings"), "LOG_LEVEL": "WARNING"}
        worker = Talker("tests.bench.erasure.worker", TENANT, environment=environment)
        try:
            worker.ask({"tenant": True})
            subjects.load(
                running.postgres.url("ours"),
                tenant=TENANT,
                others=max(1, rows // EACH),
                each=EACH,
                subjects=people,
                moved=options.progress,
            )
            made = heat(worker, running.postgres.url("ours"), people)
            for contender in made.everybody:
                contender.measure()
            play([made], rounds=rounds, progress=options.progress)
            facts = running.facts()
        finally:
            worker.stop()
    facts = machine("PostgreSQL and the worker share the cores") | facts | python("django", "psycopg")
    return section(made, rows=rows, rounds=rounds, facts=facts, took=time.monotonic() - began)


def heat(worker: Talker, url: str, people: list[Subject]) -> Heat:
    numbers, tables = count(), worker.ask({"tables": True})["tables"]

    def turn(order: str) -> Turn:
        done = worker.ask({order: people[next(numbers)].name})
        # The customer goes too.
        if done["rows"] != SIZE + 1 or done["left"]:
            raise WrongRows(f"{done['rows']:,} rows went, {done['left']:,} are left.")
        return Turn(rate=1 / done["seconds"], more={"ms": done["seconds"] * 1000})

    def plain() -> Turn:
        with bare(url, tables):
            return turn("plain")

    return Heat(
        title=f"{SIZE:,} rows",
        floor=Contender(name="plain", title="The plain statements, without triggers", measure=plain),
        others=[
            Contender(name="guarded", title="The plain statements, with triggers", measure=partial(turn, "plain")),
            Contender(name="ours", title="Kaireon's worker", measure=partial(turn, "erase")),
        ],
    )


@contextmanager
def bare(url: str, tables: list[str]) -> Iterator[None]:
    """These tables and their partitions without triggers, references aside, until the block ends."""
    with psycopg.connect(url, autocommit=True) as server:
        found = server.execute(
            "SELECT tgrelid::regclass::text, tgname, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal"
            " AND tgenabled <> 'D' AND tgrelid IN (SELECT relid FROM unnest(%s::regclass[]) t, pg_partition_tree(t)"
            " UNION SELECT unnest(%s::regclass[]))",
            [tables, tables],
        ).fetchall()
        try:
            _switch(server, found, lambda _enabled: "DISABLE")
            yield
        finally:
            _switch(server, found, lambda enabled: "ENABLE ALWAYS" if enabled == "A" else "ENABLE")


def section(made: Heat, *, rows: int, rounds: int, facts: dict[str, str], took: float) -> Section:
    return Section(
        title=TITLE,
        introduction=_INTRODUCTION.format(rows=rows, rounds=rounds, size=SIZE, minutes=max(1, round(took / 60))),
        tables=[
            Table(
                title=f"A person of {made.title}",
                headings=["", "ms", "times the statements", "min–max"],
                cells=[
                    [
                        c.title,
                        f"{c.median_of('ms'):,.0f}",
                        f"{1 / c.ratio:.2f}",
                        "{:.2f}–{:.2f}".format(*(1 / ratio for ratio in reversed(c.ratio_range))),
                    ]
                    for c in made.everybody
                ],
                note=f"The floor itself varied by ±{made.noise:.0%}.",
            )
        ],
        verdicts=verdicts(made),
        facts=facts,
        took=took,
        rounds=made.json(),
    )


def verdicts(made: Heat) -> dict[str, str]:
    guarded, ours = made.others
    return {
        made.title: f"{1 / ours.ratio:.2f} times as long as the plain statements"
        f" (at most {TARGET:g}: {within(ours.times, TARGET)})",
        f"{made.title}, of the statements with triggers": f"{guarded.ratio / ours.ratio:.2f} times as long",
    }


def _switch(server: "psycopg.Connection[Any]", found: list[tuple[str, str, str]], word: Callable[[str], str]) -> None:
    for table, name, enabled in found:
        server.execute(f'ALTER TABLE ONLY {table} {word(enabled)} TRIGGER "{name}"')


_INTRODUCTION = """\
Repeat it with `make bench BENCH=erasure`, about {minutes} minutes; `.venv/bin/python -m tests.bench erasure --quick` is
a look among fewer rows of others, `--rows` says among how many; `--write` puts it here.

{rows:,} interactions of others in one tenant; in each turn somebody else is erased, of {size:,} rows: seven in ten
are interactions, one is a decision trace, two are deliveries. *The plain statements* do the same to the same rows in
one transaction, as the product's role and behind its walls: a `DELETE` for each table that may hold something, an
`UPDATE` of consents and requests, two tombstones, the person's key in the log destroyed, and a commit that waits for
the disk; with every trigger of these tables switched off but those of references: no guard against holds, no record;
and *with triggers*, as anybody would run them here. They trust that it is the right person, and look at nothing
afterwards. *Kaireon's worker* does what it does with a queued request: claims the job, writes down its steps, finds
whose rows are meant and keeps that as a plan, asks what is held, deletes, looks for what is left, writes the journal
outside the database, looks for stored files, drains the log, looks again at what was written meanwhile, destroys the
key to the person's values in the log, and records all of it. That takes about seventy trips in seven transactions, of
which three wait for the disk, and a file that is synced and read back, whatever the number of rows: in an erasure of so
few rows they, and what they cost in Python, are most of the time.

Medians of {rounds} rounds, each right beside a turn of the plain statements. Something is called settled when the order
of its ratios leaves less than 5 % of doubt on which side of the target the median lies.
"""
