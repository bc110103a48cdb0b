"""What `python -m tests.bench` was asked for."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Options:
    """0 stands for the bench's own number. `processes`, `tenants`, `only` are of `append`, `rows` of the last two."""

    benches: Sequence[str]
    quick: bool
    json: bool
    write: bool
    rounds: int
    seconds: float
    processes: Sequence[int]
    tenants: Sequence[int]
    only: Sequence[str]
    rows: int

    def progress(self, text: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{text}")
        else:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def parse(arguments: Sequence[str], *, benches: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure, print, and with --write put each result into its section of docs/benchmarks.md.",
    )
    parser.add_argument("benches", nargs="*", metavar="bench", help=f"{', '.join(benches)}; all when none is named")
    parser.add_argument("--quick", action="store_true", help="few short rounds: a look, not a result")
    parser.add_argument("--json", action="store_true", help="every round of every contestant, as JSON")
    parser.add_argument("--write", action="store_true", help="write the sections of docs/benchmarks.md anew")
    parser.add_argument("--rounds", type=int, default=0, help="how often everybody takes a turn")
    parser.add_argument("--seconds", type=float, default=0.0, help="about how long the floor takes in a turn")
    parser.add_argument("--processes", type=_numbers, default=[1, 4, 8], help="append: writers; default 1,4,8")
    parser.add_argument("--tenants", type=_numbers, default=[1, 50], help="append: default 1,50")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help="append: these contestants")
    parser.add_argument("--rows", type=int, default=0, help="dossier, erasure, engagement: rows; default 5,000,000")
    found = parser.parse_args(arguments)
    if unknown := [name for name in found.benches if name not in benches]:
        parser.error(f"there is no bench {unknown[0]!r}: it is one of {', '.join(benches)}")
    if found.rounds == 1 or found.rounds < 0:
        parser.error("--rounds takes 2 or more: one round has no spread")
    return Options(**{**vars(found), "benches": found.benches or list(benches)})


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]
