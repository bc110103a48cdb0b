"""`python -m tests.bench`: measure, print, and with --write put the result into docs/benchmarks.md."""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from kaireon.local.folder import PROJECT
from tests.bench import report
from tests.bench.contestants import CONTESTANTS, FLOOR
from tests.bench.match import Setting, play
from tests.bench.stage import Stage

CORES = 2
DOCUMENT = PROJECT / "docs" / "benchmarks.md"


def main() -> int:
    options = _options()
    # Everything measured shares the same two cores: servers, writers and sequencer inherit this.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    chosen = [c for c in CONTESTANTS if c is FLOOR or not options.only or c.name in options.only]
    settings = [Setting(processes=p, tenants=t) for t in options.tenants for p in options.processes]
    tenants = [f"tenant-{n:02d}" for n in range(1, max(options.tenants) + 1)]
    folder = Path(tempfile.mkdtemp(prefix="kaireon-bench-"))
    stage = Stage(folder, crew_size=max(options.processes), tenants=tenants)
    began = time.monotonic()
    try:
        stage.start()
        rows = play(
            stage,
            contestants=chosen,
            settings=settings,
            rounds=options.rounds,
            seconds=options.seconds,
            tenants=tenants,
            progress=_progress,
        )
        result = report.Result(
            rows=rows, facts=report.facts(stage), rounds=options.rounds, took=time.monotonic() - began
        )
    finally:
        stage.stop()
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(report.as_json(result) if options.json else report.as_text(result))
    if options.write:
        DOCUMENT.write_text(report.as_markdown(result))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two short rounds: a look, not a result")
    parser.add_argument("--json", action="store_true", help="every round of every contestant, as JSON")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md anew")
    parser.add_argument("--rounds", type=int, help="default 15")
    parser.add_argument("--seconds", type=float, help="how long the floor writes in one turn; default 0.4")
    parser.add_argument("--processes", type=_numbers, default=[1, 4, 8], help="default 1,4,8")
    parser.add_argument("--tenants", type=_numbers, default=[1, 50], help="default 1,50")
    parser.add_argument("--only", type=lambda text: text.split(","), help=", ".join(c.name for c in CONTESTANTS))
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 15)
    options.seconds = options.seconds or (0.12 if options.quick else 0.4)
    return options


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
    else:
        sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
