"""Jobs a second and enqueue-to-done, our leased rows and Celery without any, on one Redis."""

import os
import time
from collections.abc import Callable

from tests.bench.facts import machine, python
from tests.bench.jobs.plain import BROKER_VARIABLE
from tests.bench.jobs.timekeeper import PIPE_VARIABLE
from tests.bench.jobs.workers import Worker
from tests.bench.noise import judged
from tests.bench.options import Options
from tests.bench.rounds import Contender, Heat, Turn, play
from tests.bench.section import Section, Table
from tests.bench.servers import Servers, servers
from tests.bench.talker import Talker

TITLE = "What a job costs"
TARGET = 0.5  # of plain Celery's jobs a second
PROCESSES = (1, 2)
TITLES = {
    "stock": "Celery as it comes, no rows",
    "careful": "Celery with our settings, no rows",
    "ours": "Kaireon: a row under a lease",
}
# Our queues have the names that the product gives them.
_OUR_QUEUES = {1: "batch-jobs", 2: "pipeline-jobs"}
_TENANT = "tenant-01"
_WARM_UP_JOBS = 50


def run(options: Options) -> Section:
    rounds = options.rounds or (2 if options.quick else 15)
    jobs = int(600 * (options.seconds or (0.4 if options.quick else 1.0)))
    began = time.monotonic()
    with servers(redis=True) as running:
        stage = Stage(running)
        try:
            stage.start(options.progress)
            heats = [stage.heat(processes, jobs=jobs) for processes in PROCESSES]
            play(heats, rounds=rounds, progress=options.progress)
            facts = running.facts()
        finally:
            stage.stop()
    facts = (
        machine("PostgreSQL, Redis, producer and workers share the cores")
        | facts
        | python("celery", "kombu", "redis", "django", "psycopg")
    )
    return section(heats, jobs=jobs, rounds=rounds, facts=facts, took=time.monotonic() - began)


class NotDoneOnce(RuntimeError):
    """The worker said that it was through, and the rows do not."""


class Stage:
    """The producer, and a held worker of each contestant for each number of processes."""

    def __init__(self, running: Servers) -> None:
        self._servers = running
        self._workers: dict[tuple[str, int], Worker] = {}
        self._producer: Talker | None = None

    def start(self, progress: Callable[[str], None]) -> None:
        environment = self._environment()
        progress("starting the workers")
        self._producer = Talker("tests.bench.jobs.producer", environment=environment)
        self._producer.ask({"prepare": _TENANT})
        for name in TITLES:
            for processes in PROCESSES:
                queue = _OUR_QUEUES[processes] if name == "ours" else f"{name}-{processes}"
                worker = Worker(
                    "kaireon" if name == "ours" else f"tests.bench.jobs.plain:{name}",
                    queue=queue,
                    processes=processes,
                    environment=environment,
                    log=self._servers.folder / f"{queue}.log",
                )
                self._workers[name, processes] = worker
                # Ready when it has done something.
                self._through(name, processes, _WARM_UP_JOBS)
                worker.hold()

    def heat(self, processes: int, *, jobs: int) -> Heat:
        floor, *others = (
            Contender(name=name, title=title, measure=lambda name=name: self._measure(name, processes, jobs))
            for name, title in TITLES.items()
        )
        return Heat(title=f"{processes} {'worker' if processes == 1 else 'workers'}", floor=floor, others=others)

    def stop(self) -> None:
        for worker in self._workers.values():
            worker.stop()
        if self._producer is not None:
            self._producer.stop()

    def _measure(self, name: str, processes: int, jobs: int) -> Turn:
        enqueued = self._ask({"enqueue": name, "processes": processes, "jobs": jobs})
        worker = self._workers[name, processes]
        start = time.monotonic()
        with worker.working():
            end = self._ask({"ends": jobs})["last"]
            waits = self._ask({"one_by_one": name, "processes": processes, "jobs": max(20, jobs // 6)})
        if name == "ours":
            once_each(self._ask({"rows": True}))
        return Turn(rate=jobs / (end - start), more={"enqueue_ms": enqueued["seconds"] / jobs * 1000, **waits})

    def _through(self, name: str, processes: int, jobs: int) -> None:
        self._ask({"enqueue": name, "processes": processes, "jobs": jobs})
        self._ask({"ends": jobs})

    def _ask(self, order: dict[str, object]) -> dict[str, float]:
        assert self._producer is not None
        return self._producer.ask(order)

    def _environment(self) -> dict[str, str]:
        assert self._servers.redis is not None
        pipe = self._servers.folder / "ends"
        os.mkfifo(pipe)
        return {
            **self._servers.product(settings="tests.bench.jobs.settings"),
            PIPE_VARIABLE: str(pipe),
            BROKER_VARIABLE: self._servers.redis.url(3),
        }


def once_each(found: dict[str, float]) -> None:
    """Raises NotDoneOnce."""
    if found["rows"] != found["once"]:
        raise NotDoneOnce(f"{found['once']} of {found['rows']} jobs are done and were begun once.")


def section(heats: list[Heat], *, jobs: int, rounds: int, facts: dict[str, str], took: float) -> Section:
    return Section(
        title=TITLE,
        introduction=_INTRODUCTION.format(jobs=jobs, rounds=rounds, minutes=max(1, round(took / 60))),
        tables=[
            Table(
                title=heat.title,
                headings=["", "jobs/s per worker", "of floor", "min–max", "p50 ms", "p99 ms", "to enqueue, ms"],
                cells=[_cells(contender, processes) for contender in heat.everybody],
                note=f"The floor itself varied by ±{heat.noise:.0%}.",
            )
            for processes, heat in zip(PROCESSES, heats, strict=True)
        ],
        verdicts=verdicts(heats),
        facts=facts,
        took=took,
        rounds=[row for heat in heats for row in heat.json()],
    )


def verdicts(heats: list[Heat]) -> dict[str, str]:
    said = {}
    for heat in heats:
        ours = next(contender for contender in heat.others if contender.name == "ours")
        held = judged(ours.ratio >= TARGET, heat.noise)
        said[f"{ours.title}, {heat.title}"] = f"{ours.ratio:.2f} of the floor (at least {TARGET}: {held})"
    return said


def _cells(contender: Contender, processes: int) -> list[str]:
    low, high = contender.ratio_range
    return [
        contender.title,
        f"{contender.rate / processes:,.0f}",
        f"{contender.ratio:.2f}",
        f"{low:.2f}–{high:.2f}",
        f"{contender.median_of('p50_ms'):.1f}",
        f"{contender.median_of('p99_ms'):.1f}",
        f"{contender.median_of('enqueue_ms'):.2f}",
    ]


_INTRODUCTION = """\
Repeat it with `make bench BENCH=jobs`, about {minutes} minutes, or `.venv/bin/python -m tests.bench jobs --quick` for a
first look; `--write` puts it here.

Everybody does the same nothing, on one Redis. Ours is a job as the product has them: a row written in a transaction
with tenant and actor, a message after the commit unless enough of them wait, a worker that claims the row under a
lease, keeps the lease alive, marks the row done and takes along what else is due: three commits for each job, of which
only the claim does not wait for the disk. The *floor* is plain Celery with its own settings, which takes messages ahead
and confirms them before the work; beside it Celery with the settings of ours, which confirm a message when the work is
done: what not losing a message costs before there is any row.

The {jobs:,} jobs of a turn wait in the queue while the worker is held; *jobs/s per worker* is from the moment it is
let go to the end of the last; the rows say afterwards that each was begun once and is done. Then jobs are asked for one
by one: *p50* and *p99* are from before the enqueueing to after the end. *To enqueue* is what the caller waits. Medians
of {rounds} rounds, everybody right beside the floor in each.
"""
