"""How long a record waits for its place in the log while everybody writes as fast as they can."""

import time
from collections.abc import Callable
from functools import partial

import psycopg

from tests.bench.append.match import WARM_UP_ROWS
from tests.bench.append.stage import Stage
from tests.bench.facts import machine, python
from tests.bench.noise import judged
from tests.bench.options import Options
from tests.bench.rounds import Contender, Heat, Turn, play
from tests.bench.section import Section, Table
from tests.bench.servers import Servers, servers

TITLE = "How far the log is behind"
TARGET_MS = 100.0  # the median record
WRITERS = 4
TENANTS = (1, 50)

# When a row's transaction was committed is known to the server where it is told to remember.
_SETTINGS = {"track_commit_timestamp": "on"}
_LAGS = """
SELECT count(*), percentile_cont(ARRAY[0.5, 0.99, 1]) WITHIN GROUP (ORDER BY lag) FROM (
  SELECT 1000 * extract(epoch FROM pg_xact_commit_timestamp(xmin) - "timestamp")::float8 AS lag
    FROM public.audit_record WHERE "timestamp" >= %s AND entity_type = %s
) written
"""
# What the writers of the bench write, as the log calls it.
_WRITTEN = "Order"


class RecordsMissing(RuntimeError):
    """Not every record came into the log."""


def run(options: Options) -> Section:
    rounds = options.rounds or (3 if options.quick else 15)
    seconds = options.seconds or (1.0 if options.quick else 4.0)
    names = [f"tenant-{n:02d}" for n in range(1, max(TENANTS) + 1)]
    began = time.monotonic()
    with servers(settings=_SETTINGS) as running:
        stage = Stage(running, crew_size=WRITERS, tenants=names)
        try:
            stage.start_sequencer()
            match = Match(stage, running, names)
            heats = [match.heat(tenants, seconds=seconds, progress=options.progress) for tenants in TENANTS]
            play(heats, rounds=rounds, progress=options.progress)
            facts = running.facts()
        finally:
            stage.stop()
    facts = machine("PostgreSQL, writers and sequencer share the cores") | facts | python("django", "psycopg")
    return section(heats, rounds=rounds, seconds=seconds, facts=facts, took=time.monotonic() - began)


class Match:
    """The crew of the bench `append`, with the sequencer at work."""

    def __init__(self, stage: Stage, running: Servers, tenants: list[str]) -> None:
        self._stage = stage
        self._running = running
        self._tenants = tenants

    def heat(self, tenants: int, *, seconds: float, progress: Callable[[str], None]) -> Heat:
        chosen = self._tenants[:tenants]
        title = "one tenant" if tenants == 1 else f"{tenants} tenants"
        progress(f"warming up: {title}")
        self._floor(chosen, WARM_UP_ROWS)
        rows = int(self._audited(chosen, WARM_UP_ROWS).rate * seconds) // WRITERS * WRITERS
        return Heat(
            title=title,
            floor=Contender(name="floor", title="The same without audit", measure=partial(self._floor, chosen, rows)),
            others=[
                Contender(name="ours", title="Kaireon, into the log", measure=partial(self._audited, chosen, rows))
            ],
        )

    def _floor(self, tenants: list[str], rows: int) -> Turn:
        return Turn(rate=self._write("unaudited", tenants, rows))

    def _audited(self, tenants: list[str], rows: int) -> Turn:
        since = self._ask("SELECT clock_timestamp()")[0]
        with self._stage.sequencing():
            rate = self._write("audited", tenants, rows)
            catch_up = self._stage.catch_up_seconds()
        count, lags = self._ask(_LAGS, [since, _WRITTEN])
        return turn(rate, count=count, rows=rows, lags=lags, catch_up=catch_up)

    def _write(self, what: str, tenants: list[str], rows: int) -> float:
        order = {"writes": what, "processes": WRITERS, "rows": rows, "tenants": tenants}
        answer = self._stage.crew("ours").ask(order)
        return float(answer["rows"] / answer["seconds"])

    def _ask(self, query: str, parameters: list[object] | None = None) -> tuple[object, ...]:
        with psycopg.connect(self._running.postgres.url("ours"), autocommit=True) as connection:
            row = connection.execute(query, parameters).fetchone()
        assert row is not None
        return row


def turn(rate: float, *, count: object, rows: int, lags: object, catch_up: float) -> Turn:
    """Raises RecordsMissing."""
    if count != rows or not isinstance(lags, list):
        raise RecordsMissing(f"{count} of {rows} records are in the log.")
    p50, p99, longest = lags
    return Turn(rate=rate, more={"p50_ms": p50, "p99_ms": p99, "longest_ms": longest, "catch_up_ms": catch_up * 1000})


def section(heats: list[Heat], *, rounds: int, seconds: float, facts: dict[str, str], took: float) -> Section:
    return Section(
        title=TITLE,
        introduction=_INTRODUCTION.format(
            writers=WRITERS, seconds=seconds, rounds=rounds, minutes=max(1, round(took / 60))
        ),
        tables=[
            Table(
                title=f"{WRITERS} writers, {heat.title}",
                headings=["", "commits/s", "of floor", "p50 ms behind", "p99", "longest", "empty after, ms"],
                cells=[
                    [heat.floor.title, f"{heat.floor.rate:,.0f}", "1.00", "", "", "", ""],
                    *(_cells(contender) for contender in heat.others),
                ],
                note=f"The floor itself varied by ±{heat.noise:.0%}.",
            )
            for heat in heats
        ],
        verdicts=verdicts(heats),
        facts=facts,
        took=took,
        rounds=[row for heat in heats for row in heat.json()],
    )


def verdicts(heats: list[Heat]) -> dict[str, str]:
    said = {}
    for heat in heats:
        (ours,) = heat.others
        behind = ours.median_of("p50_ms")
        held = judged(behind < TARGET_MS, heat.noise)
        said[f"{ours.title}, {heat.title}"] = f"{behind:.0f} ms behind (under {TARGET_MS:.0f}: {held})"
    return said


def _cells(contender: Contender) -> list[str]:
    names = ("p50_ms", "p99_ms", "longest_ms", "catch_up_ms")
    return [
        contender.title,
        f"{contender.rate:,.0f}",
        f"{contender.ratio:.2f}",
        *(f"{contender.median_of(name):.0f}" for name in names),
    ]


_INTRODUCTION = """\
Repeat it with `make bench BENCH=lag`, about {minutes} minutes, or `.venv/bin/python -m tests.bench lag --quick` for a
first look; `--write` puts it here.

{writers} processes write orders as in the bench `append`, each in a transaction of its own, as fast as they can for
about {seconds:.0f} seconds, while the sequencer works on the same cores. A record is behind from the moment at which
its trigger captured it to the commit of the transaction that put it into the log, as the server noted it: every record
is measured, none is sampled. *Empty after* is how long the sequencer went on when the writers had stopped.

Medians of {rounds} rounds, each beside the same writers without audit.
"""
