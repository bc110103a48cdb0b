"""A scan that makes up for a whole day of many tenants, on one core, and how it grows with the log."""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.facts import machine, python
from tests.bench.options import Options
from tests.bench.scan import stage
from tests.bench.section import Section, Table
from tests.bench.servers import servers
from tests.bench.talker import Talker

TITLE = "What scanning the logs costs"
TENANTS = 50
RECORDS = (250_000, 500_000, 1_000_000)
QUICK_RECORDS = (25_000, 50_000, 100_000)
# A scan may take as long as it is until the next one.
TARGET_SECONDS = 300.0
# Twice the records may take this many times as long, or somewhere it is worse than linear.
GROWTH = 2.3


class ScanFailed(RuntimeError):
    """The job did not end well, or left a gap."""


def run(options: Options) -> Section:
    began = time.monotonic()
    sizes = QUICK_RECORDS if options.quick else RECORDS
    cores = os.sched_getaffinity(0)
    # Servers and scanner alike: what is started from here on has this one.
    os.sched_setaffinity(0, {min(cores)})
    try:
        with_facts = [_measured(size, options) for size in sizes]
    finally:
        os.sched_setaffinity(0, cores)
    facts = machine("PostgreSQL and the scanner share one core") | with_facts[-1][1] | python("django", "psycopg")
    return section([found for found, _ in with_facts], facts=facts, took=time.monotonic() - began)


def _measured(records: int, options: Options) -> tuple[dict[str, Any], dict[str, str]]:
    tenants = [f"tenant-{n:02d}" for n in range(1, TENANTS + 1)]
    with servers(settings={"shared_buffers": "1GB"}) as running:
        scanner = Talker("tests.bench.scan.scanner", environment=running.product(settings="kaireon.settings"))
        try:
            scanner.ask({"tenants": tenants})
            stage.load(running.postgres.url("ours"), tenants, records // TENANTS, moved=options.progress)
            options.progress(f"scanning {records:,} records")
            whole = scanner.ask({"scan": True})
            again = scanner.ask({"scan": True})
            facts = running.facts()
        finally:
            scanner.stop()
    if not whole["ok"] or whole["gaps"] or not again["ok"]:
        raise ScanFailed(f"{whole} {again}")
    return {"records": records, **whole, "again": again["seconds"], "twice": again["signals"]}, facts


def section(found: Sequence[Mapping[str, Any]], *, facts: Mapping[str, str], took: float) -> Section:
    return Section(
        title=TITLE,
        introduction=_INTRODUCTION.format(
            tenants=TENANTS, members=stage.MEMBERS, records=found[-1]["records"], minutes=max(1, round(took / 60))
        ),
        tables=[
            Table(
                title=f"{TENANTS} tenants, one core",
                headings=["records", "a whole day, s", "records/s", "looked at", "signals", "the next scan, s"],
                cells=[
                    [
                        f"{each['records']:,}",
                        f"{each['seconds']:.1f}",
                        f"{each['records'] / each['seconds']:,.0f}",
                        f"{each['looked']:,}",
                        f"{each['signals']:,}",
                        f"{each['again']:.1f}",
                    ]
                    for each in found
                ],
                words=frozenset(),
            )
        ],
        verdicts=verdicts(found),
        facts=facts,
        took=took,
        rounds=[dict(each) for each in found],
    )


def verdicts(found: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    last, before = found[-1], found[-2]
    held = "met" if last["seconds"] <= TARGET_SECONDS else "missed"
    growth = (last["seconds"] / before["seconds"]) / (last["records"] / before["records"]) * 2
    linear = "met" if growth <= GROWTH else "missed"
    return {
        f"{last['records']:,} records": f"{last['seconds']:.1f} s (at most {TARGET_SECONDS:.0f}: {held})",
        "Twice the records": f"{growth:.2f} times as long (at most {GROWTH}: {linear})",
        "Told twice by the next scan": str(sum(each["twice"] for each in found)),
    }


_INTRODUCTION = """\
Repeat it with `make bench BENCH=scan`, about {minutes} minutes, or `.venv/bin/python -m tests.bench scan --quick` for a
look at a tenth of it; `--write` puts it here.

{tenants} tenants of {members} members each, ten of them new, and a day of their logs that no scan has looked at: up to
{records:,} records, of which one in eight is of a kind that rules ask for. One run of the job
`security-behavioral-scan` makes up for all of it and commits every signal; the next one has the usual ten minutes to
look at. Scanner and PostgreSQL share one core. Each size has a database of its own.
"""
