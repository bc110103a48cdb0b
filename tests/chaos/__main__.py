"""Run the product, kill everything in it at random, and see whether anything is lost or done twice.

    python -m tests.chaos [--seed N] [--minutes N] [--orders N] [--keep FOLDER]

Exits 1 with the faults when there are any. A seed repeats what is ordered and who dies when, as far as two machines
keep the same time.
"""

import argparse
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from kaireon.local.progress import complain, say, step
from tests.chaos.stage import Stage


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="Default: another one each time.")
    parser.add_argument("--minutes", type=float, default=5.0, help="How long the monkey is about. Default: 5.")
    parser.add_argument("--orders", type=int, default=0, help="Pieces of work. Default: 200 a minute, at least 200.")
    parser.add_argument("--patience", type=float, default=240.0, help="Seconds to settle. Default: 240.")
    parser.add_argument("--workers", type=int, default=1, help="Default: 1, of two processes.")
    parser.add_argument("--keep", type=Path, help="Keep logs and data in this folder. Default: only when it fails.")
    given = parser.parse_args()
    say(f"Seed {given.seed}")
    folder = given.keep or Path(tempfile.mkdtemp(prefix="kaireon-chaos-"))
    stage = Stage(folder, workers=given.workers)
    faults = ["it did not come to an end"]
    try:
        with step("PostgreSQL and Redis"):
            stage.start_servers()
        faults = _run(stage, given)
    finally:
        stage.stop()
        if not faults and not given.keep:
            shutil.rmtree(folder)
    for fault in faults:
        complain(f"  {fault}")
    if faults:
        complain(f"{len(faults)} faults with seed {given.seed}. Logs: {stage.local.logs}")
        return 1
    say("Everything happened once, and nothing is left.")
    return 0


def _run(stage: Stage, given: argparse.Namespace) -> list[str]:
    # Settings are read when they are imported: the servers have to be known by then.
    import django

    django.setup()
    from tests.chaos import scenario

    plan = scenario.Plan(
        seed=given.seed,
        orders=given.orders or max(200, round(200 * given.minutes)),
        seconds=given.minutes * 60,
        patience=given.patience,
    )
    return scenario.run(stage, plan)


if __name__ == "__main__":
    sys.exit(main())
