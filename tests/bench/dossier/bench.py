"""The packages of subjects with few and with many rows, in a database of millions, beside hand-written SQL."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

from tests.bench.dossier import subjects
from tests.bench.dossier.burst import Burst
from tests.bench.dossier.subjects import Subject
from tests.bench.facts import machine, python
from tests.bench.noise import reached, within
from tests.bench.options import Options
from tests.bench.rounds import Contender, Heat, Turn, play
from tests.bench.section import Section, Table
from tests.bench.servers import servers
from tests.bench.talker import Talker

TITLE = "What an access package costs"
TENANT = "tenant-01"
ROWS = 5_000_000
QUICK_ROWS = 200_000
# Of others, each.
EACH = 245
AT_ONCE = 200
# How many times as long as the SQL an answer may take, by the subject's rows.
TARGETS = {100: 3.0, 10_000: 2.0, 100_000: 1.5}
# Whoever has more is asked about again and again; the records of that are few beside the rows.
MOST_ANEW = 10_000
MOST_MIB = 150.0
# Requests a second.
RATE = 20.0
# Two workers of one.
GROWTH = 1.0
RESUMED_SECONDS = 60.0


class LeftBehind(RuntimeError):
    """There is something else than sealed dossiers."""


def run(options: Options) -> Section:
    rows = options.rows or (QUICK_ROWS if options.quick else ROWS)
    rounds = options.rounds or (3 if options.quick else 9)
    people = {size: _people(size, rounds, first) for size, first in _firsts(rounds).items()}
    began = time.monotonic()
    with servers(redis=True, settings={"shared_buffers": "2GB"}) as running:
        temporary = running.folder / "temporary"
        temporary.mkdir()
        environment = {**running.product(settings="kaireon.settings"), "LOG_LEVEL": "WARNING"}
        environment["TMPDIR"] = str(temporary)
        start = partial(Talker, "tests.bench.dossier.worker", TENANT, environment=environment)
        talkers = {"sql": start(), "ours": start()}
        try:
            talkers["ours"].ask({"tenant": True})
            everybody = [one for some in people.values() for one in some]
            others = max(AT_ONCE, rows // EACH)
            subjects.load(
                running.postgres.url("ours"),
                tenant=TENANT,
                others=others,
                each=EACH,
                subjects=everybody,
                moved=options.progress,
            )
            heats = [heat(some, talkers["sql"], talkers["ours"]) for some in people.values()]
            for made in heats:
                for contender in made.everybody:
                    contender.measure()
            play(heats, rounds=rounds, progress=options.progress)
            burst = Burst(running, talkers["ours"], numbers=_fresh(len(everybody), others))
            with burst.sequencing():
                queue = queue_of(burst)
                play([queue], rounds=max(2, rounds * 2 // 3), progress=options.progress)
                options.progress("killing a worker")
                killed = burst.killed()
            talkers["ours"].ask({"clear": True})
            kept = talkers["ours"].ask({"kept": True})
            nothing_else(kept, objects=Path(environment["OBJECT_ROOT"]), temporary=temporary)
            facts = running.facts()
        finally:
            for talker in talkers.values():
                talker.stop()
    facts = machine("PostgreSQL, Redis and those they serve share the cores") | facts
    facts |= python("django", "psycopg", "cryptography", "celery")
    made = Measured(heats=heats, queue=queue, killed=killed, burst_mib=burst.mib, dossiers=int(kept["all"]))
    return made.section(rows=rows, rounds=rounds, facts=facts, took=time.monotonic() - began)


def heat(people: list[Subject], by_hand: Talker, worker: Talker) -> Heat:
    """Both write the same of each person in turn, which is seen once before anything is measured."""
    first = people[0].name
    worker.ask({"export": first})
    by_hand.ask({"sql": first})
    by_hand.ask({"same": first})
    return Heat(
        title=f"{people[0].rows:,} rows",
        floor=Contender(name="sql", title="Hand-written SQL", measure=_in_turn(by_hand, "sql", people)),
        others=[Contender(name="ours", title="Kaireon's worker", measure=_in_turn(worker, "export", people))],
    )


def queue_of(burst: Burst) -> Heat:
    return Heat(
        title=f"{AT_ONCE} requests of {EACH} rows at once",
        floor=Contender(name="one", title="1 worker", measure=partial(burst.turn, 1)),
        others=[Contender(name="two", title="2 workers", measure=partial(burst.turn, 2))],
    )


def nothing_else(kept: dict[str, int], *, objects: Path, temporary: Path) -> None:
    """Raises LeftBehind when there are files other than the dossiers that lie in storage."""
    stored = [path for path in objects.rglob("*") if path.is_file()] if objects.exists() else []
    left = [path for path in temporary.rglob("*") if path.is_file()]
    if left or len(stored) != kept["objects"]:
        raise LeftBehind(f"{len(stored)} objects of {kept['objects']} dossiers, {len(left)} temporary files.")


class Measured:
    """What a run found."""

    def __init__(
        self, *, heats: list[Heat], queue: Heat, killed: dict[str, float], burst_mib: float, dossiers: int
    ) -> None:
        self.heats, self.queue, self.killed = heats, queue, killed
        self.burst_mib, self.dossiers = burst_mib, dossiers

    def verdicts(self) -> dict[str, str]:
        said = {}
        for made, most in zip(self.heats, TARGETS.values(), strict=True):
            (ours,) = made.others
            said[made.title] = (
                f"{1 / ours.ratio:.2f} times as long as the SQL (at most {most:g}: {within(ours.times, most)})"
            )
        # Memory does not depend on what else the machine does, and never goes down again.
        mib = max(self.burst_mib, *(made.others[0].median_of("mib") for made in self.heats))
        said["Memory of a worker"] = f"{mib:.0f} MiB (under {MOST_MIB:.0f}: {'holds' if mib < MOST_MIB else 'missed'})"
        said["Left behind"] = f"nothing but {self.dossiers:,} sealed dossiers: holds"
        one, (two,) = self.queue.floor, self.queue.others
        rates = [turn.rate for turn in one.turns]
        said[f"{self.queue.title}, 1 worker"] = f"{one.rate:.0f} a second (at least {RATE:.0f}: {reached(rates, RATE)})"
        said[f"{self.queue.title}, 2 workers"] = (
            f"{two.rate:.0f} a second, {two.ratio:.2f} times as many (more: {reached(two.ratios, GROWTH)})"
        )
        took, ended = self.killed["begun"], self.killed["ended"]
        said["A worker killed with all its processes"] = (
            f"{self.killed['interrupted']:.0f} interrupted requests begun again {took:.0f} s after the restart, all"
            f" {AT_ONCE} answered once after {ended:.0f} s"
            f" (within {RESUMED_SECONDS:.0f}: {'holds' if took <= RESUMED_SECONDS else 'missed'})"
        )
        return said

    def section(self, *, rows: int, rounds: int, facts: dict[str, str], took: float) -> Section:
        return Section(
            title=TITLE,
            introduction=_INTRODUCTION.format(
                rows=rows, rounds=rounds, minutes=max(1, round(took / 60)), at_once=AT_ONCE, each=EACH
            ),
            tables=[*map(_table, self.heats), _rates(self.queue)],
            verdicts=self.verdicts(),
            facts=facts,
            took=took,
            rounds=[row for made in (*self.heats, self.queue) for row in made.json()] + [self.killed],
        )


def _in_turn(talker: Talker, order: str, people: list[Subject]) -> Callable[[], Turn]:
    """A turn after the other, each about the next person: a request leaves records, which the next would find."""
    numbers = count()

    def measure() -> Turn:
        done = talker.ask({order: people[next(numbers) % len(people)].name})
        more = {"ms": done["seconds"] * 1000, "bytes": float(done["bytes"]), "mib": done["mib"]}
        return Turn(rate=1 / done["seconds"], more=more)

    return measure


def _firsts(rounds: int) -> dict[int, int]:
    """The number of the first subject of each size."""
    firsts, number = {}, 0
    for size in TARGETS:
        firsts[size] = number
        number += _how_many(size, rounds)
    return firsts


def _how_many(size: int, rounds: int) -> int:
    # One more for the turn that is not counted.
    return rounds + 1 if size <= MOST_ANEW else 1


def _people(size: int, rounds: int, first: int) -> list[Subject]:
    return [Subject(number=first + n, rows=size) for n in range(_how_many(size, rounds))]


def _fresh(first: int, others: int) -> Iterator[list[str]]:
    """Others, so many at a time; from the first again when there are no more."""
    numbers = count()
    while True:
        yield [f"c-{first + next(numbers) % others}" for _ in range(AT_ONCE)]


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


def _rates(made: Heat) -> Table:
    return Table(
        title=made.title,
        headings=["", "requests/s", "of one worker", "min–max"],
        cells=[
            [c.title, f"{c.rate:.1f}", f"{c.ratio:.2f}", "{:.2f}–{:.2f}".format(*c.ratio_range)] for c in made.everybody
        ],
        note=f"One worker itself varied by ±{made.noise:.0%}.",
    )


_INTRODUCTION = """\
Repeat it with `make bench BENCH=dossier`, about {minutes} minutes; `.venv/bin/python -m tests.bench dossier --quick` is
a look among fewer rows of others, `--rows` says among how many; `--write` puts it here.

{rows:,} interactions of others in one tenant, {each} each, and subjects of three sizes; of the two smaller another
one in each round, since a request leaves records. *Hand-written SQL* is one transaction that sees one moment, as the
product's role and behind its walls: PostgreSQL writes each section as JSON (`COPY (SELECT row_to_json(…)) TO STDOUT`),
all of them, the subject's records and requests among them. What it wrote goes to the same kind of place, in clear: a
small package into a row of a plain table, committed, a large one (over 1 MiB) into a file in storage and a row. It has
no job, no audit, no seal and changes nothing else. *Kaireon's worker* does what it does with a queued request: claims
the job, notes that it began, drains the log (nobody else does meanwhile), reads all sections at one moment, opens the
sealed values in the subject's records, hashes, seals and stores the dossier, and commits it with the request, the end
of the pause of retention, their records and the end of the job. That both write the same is compared before: all rows
of all sections, but for the values that SQL cannot open and what the end of the request itself changes. Memory is the
most that any process ever held, Django and all.

{at_once} requests *at once* wait before their worker, a real one of Celery, starts; the rate is from the beginning of
the first to the end of the last, with the process at work that puts records into the log. *Killed* is a worker of two
processes, its parent too, with SIGKILL, after a tenth of them; the schedule's process lives on. What was under way then
is begun again when its lease has run out (`JOB_LEASE_SECONDS`, 30).

Where an answer takes long beside the SQL, it is what surrounds the reading: for a subject of 100 rows about 30
trips in five transactions, of which two wait for the disk, where the SQL has 20 in two; most of their time is
spent in Python. Two workers share two cores with PostgreSQL and the log's process, and take turns at the tenant's log.

Medians of {rounds} rounds, two thirds as many of the requests at once, each right beside a turn of the SQL, or of one
worker.
Something is called settled when the order of its ratios leaves less than 5 % of doubt on which side of the target the
median lies.
"""
