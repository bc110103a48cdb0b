"""A month of interactions purged beside holds, dropped whole, written into; and what others notice of it."""

import time
from functools import partial

from tests.bench.facts import machine, python
from tests.bench.noise import judged, reached
from tests.bench.options import Options
from tests.bench.purge.history import HELD_EVERY, MONTHS, ROWS_EACH
from tests.bench.purge.stage import OTHERS, PACE, Stage
from tests.bench.rounds import Contender, Heat, play
from tests.bench.section import Section, Table
from tests.bench.servers import servers

TITLE = "What retention costs"
# Of the same deletion without holds, twice; of the plain table; and of the others' p99 without a purge.
PURGE = 0.5
WHOLE = 5.0
WRITE = 0.9
OTHERS_P99 = 2.0

CUSTOMERS = 51_000
QUICK_CUSTOMERS = 2_550
# So many times the rounds, where turns are short.
MORE = 2
# Rows in a turn by rows in a transaction: as many as ingest takes at once, and one.
WRITES = {1000: 50_000, 1: 1_500}


def run(options: Options) -> Section:
    customers = QUICK_CUSTOMERS if options.quick else CUSTOMERS
    rounds = options.rounds or (2 if options.quick else 6)
    seconds = options.seconds or (1.0 if options.quick else 4.0)
    began = time.monotonic()
    # The months are in memory, so that nobody measures the disk; and VACUUM comes between the turns, not within.
    with servers(settings={"shared_buffers": "1GB", "autovacuum": "off"}) as running:
        stage = Stage(running, customers=customers)
        try:
            stage.start(options.progress)
            deletions, writes, others = heats(stage, seconds=seconds, share=0.2 if options.quick else 1.0)
            for heat in writes:
                for contender in heat.everybody:
                    contender.measure()
            play([deletions], rounds=rounds, progress=options.progress)
            # They take little time, and what they ask for is close.
            play(writes, rounds=rounds * MORE, progress=options.progress)
            play([others], rounds=rounds * MORE, progress=options.progress)
            facts = running.facts()
        finally:
            stage.stop()
    facts = machine("PostgreSQL and those it serves share the cores") | facts | python("django", "psycopg")
    return section(deletions, writes, others, stage=stage, rounds=rounds, facts=facts, took=time.monotonic() - began)


def heats(stage: Stage, *, seconds: float, share: float) -> tuple[Heat, list[Heat], Heat]:
    rows, held = stage.history.month_rows, len(stage.history.held)
    deletions = Heat(
        title=f"{rows:,} rows of {MONTHS * rows:,}",
        floor=Contender(name="bare", title="The same batches, without triggers or conditions", measure=stage.bare),
        others=[
            Contender(name="free", title="Kaireon's purge, nothing held", measure=stage.purge),
            Contender(name="held", title=f"Kaireon's purge, {held:,} subjects held", measure=stage.purge_beside_holds),
            Contender(name="whole", title="Kaireon drops the month whole", measure=stage.drop),
        ],
    )
    writes = [
        Heat(
            title="one row in a transaction" if each == 1 else f"{each:,} rows in a transaction",
            floor=Contender(
                name="plain",
                title="A plain table",
                measure=partial(stage.write_plain, rows=int(count * share), each=each),
            ),
            others=[
                Contender(
                    name="months",
                    title="Months under guard",
                    measure=partial(stage.write_months, rows=int(count * share), each=each),
                )
            ],
        )
        for each, count in WRITES.items()
    ]
    others = Heat(
        title="others' writes",
        floor=Contender(name="alone", title="Nobody is purged", measure=partial(stage.others_alone, seconds)),
        others=[
            Contender(
                name="meanwhile", title="While one tenant is purged", measure=partial(stage.others_meanwhile, seconds)
            )
        ],
    )
    return deletions, writes, others


def section(
    deletions: Heat,
    writes: list[Heat],
    others: Heat,
    *,
    stage: Stage,
    rounds: int,
    facts: dict[str, str],
    took: float,
) -> Section:
    history = stage.history
    return Section(
        title=TITLE,
        introduction=_INTRODUCTION.format(
            minutes=max(1, round(took / 60)),
            rows=history.month_rows,
            months=MONTHS,
            customers=history.customers,
            each=ROWS_EACH,
            held=len(history.held),
            held_every=HELD_EVERY,
            held_rows=history.held_rows,
            batch=stage.batch,
            others=OTHERS,
            pace=PACE,
            rounds=rounds,
            more=rounds * MORE,
        ),
        tables=[
            _rates(deletions, f"Deleting {deletions.title}", "rows/s", "of the bare deletion"),
            *(_rates(heat, f"Writing, {heat.title}", "rows/s", "of the plain table") for heat in writes),
            Table(
                title="Writes of other tenants",
                headings=["", "p50 ms", "p99 ms", "writes in a turn"],
                cells=[
                    [
                        c.title,
                        *(f"{c.median_of(name):.2f}" for name in ("p50_ms", "p99_ms")),
                        f"{c.median_of('writes'):.0f}",
                    ]
                    for c in others.everybody
                ],
                note=f"The floor's p50 itself varied by ±{others.noise:.0%}.",
            ),
        ],
        verdicts=verdicts(deletions, writes, others),
        facts=facts,
        took=took,
        rounds=[row for heat in (deletions, *writes, others) for row in heat.json()],
    )


def _rates(heat: Heat, title: str, unit: str, of: str) -> Table:
    return Table(
        title=title,
        headings=["", unit, of, "min–max"],
        cells=[
            [c.title, f"{c.rate:,.0f}", f"{c.ratio:.2f}", "{:.2f}–{:.2f}".format(*c.ratio_range)]
            for c in heat.everybody
        ],
        note=f"The floor itself varied by ±{heat.noise:.0%}.",
    )


def verdicts(deletions: Heat, writes: list[Heat], others: Heat) -> dict[str, str]:
    by_name = {contender.name: contender for contender in deletions.others}
    held, whole = by_name["held"], by_name["whole"]
    said = {
        held.title: f"{held.ratio:.2f} of the bare deletion (at least {PURGE}: {reached(held.ratios, PURGE)})",
        whole.title: f"{whole.ratio:.1f} times the bare deletion"
        f" (at least {WHOLE:.0f}: {reached(whole.ratios, WHOLE)})",
    }
    for heat in writes:
        (months,) = heat.others
        said[f"{months.title}, {heat.title}"] = (
            f"{months.ratio:.2f} of the plain table (at least {WRITE}: {reached(months.ratios, WRITE)})"
        )
    (meanwhile,) = others.others
    alone, p99 = others.floor.median_of("p99_ms"), meanwhile.median_of("p99_ms")
    said["Other tenants' writes"] = (
        f"p99 {p99:.1f} ms while one is purged, {p99 / alone:.1f} times that of a quiet server"
        f" (at most {OTHERS_P99:.0f}: {judged(p99 <= OTHERS_P99 * alone, others.noise)})"
    )
    return said


_INTRODUCTION = """\
Repeat it with `make bench BENCH=purge`, about {minutes} minutes and 5 GB of disk; `.venv/bin/python -m tests.bench
purge --quick` is a look at a twentieth of the rows; `--write` puts it here.

{months} months of interactions of {customers:,} customers, {rows:,} rows each, all of one tenant; a policy of the
class lets the oldest month go. *The same batches* find and delete it as the purge does, {batch:,} at once, in the
same transactions and statements and with the same role, with every statement trigger of the table switched off: no
guard, no record, no condition. Kaireon's purge is the service that `cleanup` calls. *Held* are one in {held_every}
customers, by one hold of theirs for a matter: {held_rows:,} rows among those past their time stay, and are counted
afterwards. *Whole* it goes by the step of `cleanup` that drops months: every check, count and record of it is in the
time; nearly all of that is counting its rows for the record, and taking the files away. The month is made anew before
each turn, all of it in memory.

*The plain table* has the same columns, indexes, walls and record as the months, in one piece and without guards, and
holds as many rows as one month. *Others* are {others} tenants who write {pace:.0f} interactions a second together,
each in a transaction of its own.

Medians of {rounds} rounds of deletions and {more} of the rest, everybody right beside the floor in each. Something is
called settled when the order of its ratios leaves less than 5 % of doubt on which side of the target the median lies.
"""
