"""Checkpoints: steps of a stored run, and the same steps in transactions that keep nothing."""

import time
from functools import partial
from statistics import median

from tests.bench.facts import machine, python
from tests.bench.flows.stepper import STEPS_A_RUN
from tests.bench.noise import judged
from tests.bench.options import Options
from tests.bench.rounds import Contender, Heat, Turn, play
from tests.bench.section import Section, Table
from tests.bench.servers import servers
from tests.bench.talker import Talker

TITLE = "What a checkpoint costs"
TARGET = 3.0  # milliseconds a step
TITLES = {
    "bare": "A transaction that keeps nothing",
    "postgres": "Kaireon: a checkpoint in it",
    "fenced": "Kaireon: a checkpoint, and the run's lease looked at",
}
_TENANT = "tenant-01"


def run(options: Options) -> Section:
    rounds = options.rounds or (3 if options.quick else 25)
    steps = int((200 if options.quick else 500) * (options.seconds or 1.0)) // STEPS_A_RUN * STEPS_A_RUN
    began = time.monotonic()
    with servers() as running:
        stepper = Talker("tests.bench.flows.stepper", environment=running.product(settings="kaireon.settings"))
        try:
            stepper.ask({"prepare": _TENANT})
            options.progress("warming up")
            for name in TITLES:
                _walk(stepper, name, STEPS_A_RUN)
            heat = _heat(stepper, steps)
            play([heat], rounds=rounds, progress=options.progress)
            facts = running.facts()
        finally:
            stepper.stop()
    facts = machine("PostgreSQL and the steps share the cores") | facts | python("django", "psycopg")
    return section(heat, steps=steps, rounds=rounds, facts=facts, took=time.monotonic() - began)


def _heat(stepper: Talker, steps: int) -> Heat:
    floor, *others = (
        Contender(name=name, title=title, measure=partial(_walk, stepper, name, steps))
        for name, title in TITLES.items()
    )
    return Heat(title="one step after the other", floor=floor, others=others)


def _walk(stepper: Talker, name: str, steps: int) -> Turn:
    return turn(stepper.ask({"walk": name, "steps": steps})["step_ms"])


def turn(step_ms: float) -> Turn:
    return Turn(rate=1000 / step_ms, more={"step_ms": step_ms})


def overhead_ms(contender: Contender) -> float:
    """What its median step took longer than the floor's right beside it; the median of all rounds."""
    return median(
        found.more["step_ms"] * (1 - ratio) for found, ratio in zip(contender.turns, contender.ratios, strict=True)
    )


def section(heat: Heat, *, steps: int, rounds: int, facts: dict[str, str], took: float) -> Section:
    return Section(
        title=TITLE,
        introduction=_INTRODUCTION.format(
            steps=steps, each=STEPS_A_RUN, rounds=rounds, minutes=max(1, round(took / 60))
        ),
        tables=[
            Table(
                title="One step after the other",
                headings=["", "ms a step", "more than the floor, ms", "steps/s"],
                cells=[
                    [heat.floor.title, f"{heat.floor.median_of('step_ms'):.2f}", "", f"{heat.floor.rate:,.0f}"],
                    *(
                        [c.title, f"{c.median_of('step_ms'):.2f}", f"{overhead_ms(c):.2f}", f"{c.rate:,.0f}"]
                        for c in heat.others
                    ),
                ],
                note=f"The floor itself varied by ±{heat.noise:.0%}.",
            )
        ],
        verdicts=verdicts(heat),
        facts=facts,
        took=took,
        rounds=heat.json(),
    )


def verdicts(heat: Heat) -> dict[str, str]:
    said = {}
    for contender in heat.others:
        cost = overhead_ms(contender)
        held = judged(cost <= TARGET, heat.noise)
        said[contender.title] = f"{cost:.2f} ms a step (at most {TARGET:.0f}: {held})"
    return said


_INTRODUCTION = """\
Repeat it with `make bench BENCH=flows`, about {minutes} minutes, or `.venv/bin/python -m tests.bench flows --quick` for
a first look; `--write` puts it here.

Every step writes one row and gives a small output, in a durable transaction of the tenant's. The *floor* does nothing
else. Ours are the steps of flows with {each} steps, each of which needs the one before: the engine keeps each step's
output in the transaction of its effect, so that a run that ends anywhere goes on behind its last step. *The run's lease
looked at* is how pipelines do it, whose worker may have been given up meanwhile: their run is locked first.

A step is counted from its beginning to that of the next one. {steps:,} steps a turn, medians of {rounds} rounds, each
right beside the floor.
"""
