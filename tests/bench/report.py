"""The result as a table, as JSON and as docs/benchmarks.md."""

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from statistics import median, quantiles
from typing import Any

from tests.bench.contestants import CONTESTANTS, FLOOR, TARGET_PROCESSES, TARGETS
from tests.bench.match import Row, Setting
from tests.bench.stage import Stage

# Above this noise a run shows tendencies and settles nothing.
QUIET = 0.1


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run found. `took` in seconds."""

    rows: list[Row]
    facts: dict[str, str]
    rounds: int
    took: float

    def settings(self) -> list[Setting]:
        return list(dict.fromkeys(row.setting for row in self.rows))

    def at(self, setting: Setting) -> list[Row]:
        return [row for row in self.rows if row.setting == setting]

    def noise(self, setting: Setting) -> float:
        """How far apart the floor's own turns were: half the distance of its quartiles, as a share of the median."""
        rates = [m.rate for row in self.at(setting) if row.contestant is FLOOR for m in row.rounds]
        low, middle, high = quantiles(rates, n=4)
        return (high - low) / 2 / middle


def facts(stage: Stage) -> dict[str, str]:
    """The machine and the versions, without names or paths."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    settings = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers")
    return {
        "Machine": f"{len(os.sched_getaffinity(0))} cores of {platform.machine()}, {memory:.0f} GiB of memory,"
        f" {platform.system()}; PostgreSQL, writers and sequencer share the cores",
        "PostgreSQL": f"{stage.setting('server_version')}; "
        + ", ".join(f"{name} {stage.setting(name)}" for name in settings),
        "Python": platform.python_version(),
        "Django": version("django"),
        "psycopg": version("psycopg"),
        **{c.package: version(c.package) for c in CONTESTANTS if c.is_peer},
    }


def as_text(result: Result) -> str:
    lines = []
    for setting in result.settings():
        lines += [_noted(result, setting), *_text_table(_cells(row) for row in result.at(setting)), ""]
    lines += [f"{name}: {said}" for name, said in verdicts(result).items()]
    return "\n".join(lines) + "\n"


def as_json(result: Result) -> str:
    return json.dumps(
        {
            "facts": result.facts,
            "rounds": result.rounds,
            "seconds": round(result.took, 1),
            "rows": [_row_json(row) for row in result.rows],
            "verdicts": verdicts(result),
        },
        indent=2,
    )


def as_markdown(result: Result) -> str:
    parts = [_INTRODUCTION.format(rounds=result.rounds, minutes=max(1, round(result.took / 60)))]
    parts += [f"- {name}: {said}" for name, said in verdicts(result).items()]
    for setting in result.settings():
        parts += [
            "",
            f"## {_heading(setting)}",
            "",
            *_markdown_table(_cells(row) for row in result.at(setting)),
        ]
    parts += ["", "## Where it was measured", "", *(f"- {name}: {said}" for name, said in result.facts.items())]
    return "\n".join(parts) + "\n"


def verdicts(result: Result) -> dict[str, str]:
    """Whether the promises hold, at the number of processes they are made for."""
    said = {}
    for setting in result.settings():
        if setting.processes != TARGET_PROCESSES:
            continue
        rows = {row.contestant.name: row for row in result.at(setting)}
        where = f"at {setting.processes} processes, {_tenants(setting)}"
        for name, target in TARGETS.items():
            if name in rows:
                held = _unsettled(result, setting) or ("holds" if rows[name].ratio >= target else "missed")
                said[f"{rows[name].contestant.title}, {where}"] = (
                    f"{rows[name].ratio:.2f} of the floor (at least {target}: {held})"
                )
        peers = [row for row in rows.values() if row.contestant.is_peer]
        if peers and set(TARGETS) <= rows.keys():
            best = max(peers, key=lambda row: row.ratio)
            ours = [rows[name].ratio for name in TARGETS]
            place = "ahead" if min(ours) > best.ratio else "ahead with it idle" if max(ours) > best.ratio else "behind"
            said[f"The peer that costs least, {where}"] = (
                f"{best.contestant.title} at {best.ratio:.2f} of the floor; we at {ours[0]:.2f} and, with the sequencer"
                f" running, {ours[1]:.2f} ({_unsettled(result, setting) or place})"
            )
    return said


def _row_json(row: Row) -> dict[str, Any]:
    return {
        "contestant": row.contestant.name,
        "processes": row.setting.processes,
        "tenants": row.setting.tenants,
        "rate": round(row.rate, 1),
        "ratio": round(row.ratio, 3),
        "rounds": [asdict(measured) for measured in row.rounds],
    }


def _cells(row: Row) -> list[str]:
    low, high = row.ratio_range
    return [
        row.contestant.title,
        f"{row.rate:,.0f}",
        f"{row.ratio:.2f}",
        f"{low:.2f}–{high:.2f}",
        f"{median(m.p50_ms for m in row.rounds):.2f}",
        f"{median(m.p99_ms for m in row.rounds):.1f}",
        _sequenced(row),
    ]


_HEADINGS = [
    "",
    "commits/s",
    "of floor",
    "min–max",
    "p50 ms",
    "p99 ms",
    "in the log at the end; the rest after",
]


def _sequenced(row: Row) -> str:
    shares = [m.sequenced for m in row.rounds if m.sequenced is not None]
    waits = [m.catch_up_seconds for m in row.rounds if m.catch_up_seconds is not None]
    return f"{median(shares):.0%}; {median(waits):.2f} s" if shares and waits else ""


def _text_table(cells: Iterable[list[str]]) -> list[str]:
    table = [_HEADINGS, *cells]
    widths = [max(len(line[column]) for line in table) for column in range(len(_HEADINGS))]
    return [
        "  ".join(
            cell.ljust(width) if n in (0, len(_HEADINGS) - 1) else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]


def _markdown_table(cells: Iterable[list[str]]) -> list[str]:
    return [
        "| " + " | ".join(_HEADINGS) + " |",
        "|---|--:|--:|--:|--:|--:|---|",
        *("| " + " | ".join(line) + " |" for line in cells),
    ]


def _heading(setting: Setting) -> str:
    return f"{setting.processes} {'process' if setting.processes == 1 else 'processes'}, {_tenants(setting)}"


def _unsettled(result: Result, setting: Setting) -> str:
    noise = result.noise(setting)
    if noise <= QUIET:
        return ""
    return f"not settled: something else used the machine, the floor itself varied by ±{noise:.0%}"


def _noise(result: Result, setting: Setting) -> str:
    return f"The floor itself varied by ±{result.noise(setting):.0%}."


def _noted(result: Result, setting: Setting) -> str:
    return f"{_heading(setting)}. {_noise(result, setting)}"


def _tenants(setting: Setting) -> str:
    return "one tenant" if setting.tenants == 1 else f"{setting.tenants} tenants"


_INTRODUCTION = """\
# What an audited write costs

Written by `make bench` (`python -m tests.bench --write`). Repeat it with `make bench`, about {minutes} minutes, or
`.venv/bin/python -m tests.bench --quick` for a first look; `--json` gives every round. Nothing needs to be running: it
starts a PostgreSQL of its own, with the durable settings of `make run`, and removes it afterwards.

Every contestant writes the same order (ten columns, UUIDv7 key) in a Django transaction of its own, the same number
of rows over connections that stay open. The *floor* is our own write without audit: the table behind row-level
security, in a `transaction()` with tenant, actor and request id set. Everybody else is the floor plus a way to record
it, so the column *of floor* says what recording costs. Ours is the capture trigger: *idle* leaves the records in the
inbox; *running* has the sequencer at work on the same cores, hashing and chaining them into the log meanwhile. The
peers are set up as their documentation says, their middleware telling who acts, their own tables without walls; they
chain nothing. *Plain Django* writes to a table without tenant, walls or audit: what the walls cost.

Medians of {rounds} rounds. In a round everybody takes a turn in each setting, in changing order, right before or after
the floor that it is compared with. Rates depend on the machine and on what else it does; ratios travel better. Where
the floor itself varied by more than ±10 % (half the distance of its quartiles), the run settles nothing: repeat it on
a machine that does nothing else.

"""
