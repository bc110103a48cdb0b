"""What the match found, as a section."""

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from tests.bench.append.contestants import CONTESTANTS, FLOOR, TARGET_PROCESSES, TARGETS
from tests.bench.append.match import Row, Setting
from tests.bench.facts import machine, python
from tests.bench.noise import judged, spread, unsettled
from tests.bench.section import Section, Table
from tests.bench.servers import Servers

TITLE = "What an audited write costs"


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
        """How far apart the floor's turns of a round were: half the distance of quartiles, as a share of the median.

        Whoever is compared with the floor is compared with a turn right beside; that the machine is faster in one
        minute than in another is none of it.
        """
        rows = self.at(setting)
        rates = [m.rate for row in rows if row.contestant is FLOOR for m in row.rounds]
        turns = max(1, len(rows) - 1)
        rounds = [rates[first : first + turns] for first in range(0, len(rates), turns)]
        return spread([rate / median(of_round) for of_round in rounds for rate in of_round])


def facts(servers: Servers) -> dict[str, str]:
    peers = (c.package for c in CONTESTANTS if c.is_peer)
    return (
        machine("PostgreSQL, writers and sequencer share the cores")
        | servers.facts()
        | python("django", "psycopg", *peers)
    )


def section(result: Result) -> Section:
    return Section(
        title=TITLE,
        introduction=_INTRODUCTION.format(
            rounds=result.rounds, promised=TARGET_PROCESSES, minutes=max(1, round(result.took / 60))
        ),
        tables=[
            Table(
                title=_heading(setting),
                headings=_HEADINGS,
                cells=[_cells(row) for row in result.at(setting)],
                note=_noise(result, setting),
                words=frozenset({0, len(_HEADINGS) - 1}),
            )
            for setting in result.settings()
        ],
        verdicts=verdicts(result),
        facts=result.facts,
        took=result.took,
        rounds=[_row_json(row) for row in result.rows],
    )


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
                held = judged(rows[name].ratio >= target, result.noise(setting))
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


def _heading(setting: Setting) -> str:
    return f"{setting.processes} {'process' if setting.processes == 1 else 'processes'}, {_tenants(setting)}"


def _unsettled(result: Result, setting: Setting) -> str:
    return unsettled(result.noise(setting))


def _noise(result: Result, setting: Setting) -> str:
    return f"The floor itself varied by ±{result.noise(setting):.0%} within a round."


def _tenants(setting: Setting) -> str:
    return "one tenant" if setting.tenants == 1 else f"{setting.tenants} tenants"


_INTRODUCTION = """\
Repeat it with `make bench BENCH=append`, about {minutes} minutes, or
`.venv/bin/python -m tests.bench append --quick` for a first look; `--write` puts it here.

Every contestant writes the same order (ten columns, UUIDv7 key) in a Django transaction of its own, the same number
of rows over connections that stay open. The *floor* is our own write without audit: the table behind row-level
security, in a `transaction()` with tenant, actor and request id set. Everybody else is the floor plus a way to record
it, so the column *of floor* says what recording costs. Ours is the capture trigger: *idle* leaves the records in the
inbox; *running* has the sequencer at work on the same cores, hashing and chaining them into the log meanwhile. The
peers are set up as their documentation says, their middleware telling who acts, their own tables without walls; they
chain nothing. *Plain Django* writes to a table without tenant, walls or audit: what the walls cost.

Medians of {rounds} rounds with {promised} processes, for which something is promised, and of every fourth round
otherwise. In a round everybody takes a turn in each setting, in changing order, right before or after
the floor that it is compared with. Rates depend on the machine and on what else it does; ratios travel better. Where
the floor itself varied by more than ±10 % within its rounds (half the distance of the quartiles), the run settles
nothing: repeat it on a machine that does nothing else.

"""
