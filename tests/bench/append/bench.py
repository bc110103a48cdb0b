"""Appending to the audit log: our writes and the peers', over the floor."""

import time

from tests.bench.append import report
from tests.bench.append.contestants import CONTESTANTS, FLOOR
from tests.bench.append.match import Setting, play
from tests.bench.append.stage import Stage
from tests.bench.options import Options
from tests.bench.section import Section
from tests.bench.servers import servers

TITLE = report.TITLE


def run(options: Options) -> Section:
    chosen = [c for c in CONTESTANTS if c is FLOOR or not options.only or c.name in options.only]
    settings = [Setting(processes=p, tenants=t) for t in options.tenants for p in options.processes]
    tenants = [f"tenant-{n:02d}" for n in range(1, max(options.tenants) + 1)]
    rounds = options.rounds or (2 if options.quick else 24)
    began = time.monotonic()
    with servers() as running:
        stage = Stage(running, crew_size=max(options.processes), tenants=tenants)
        try:
            rows = play(
                stage,
                contestants=chosen,
                settings=settings,
                rounds=rounds,
                seconds=options.seconds or (0.12 if options.quick else 0.4),
                tenants=tenants,
                progress=options.progress,
            )
            facts = report.facts(running)
        finally:
            stage.stop()
    return report.section(report.Result(rows=rows, facts=facts, rounds=rounds, took=time.monotonic() - began))
