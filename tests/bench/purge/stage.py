"""The stage: a tenant's months, who deletes from them, and who writes for everybody else meanwhile."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from tests.bench.purge.history import PLAIN, TABLE, History
from tests.bench.rounds import Turn
from tests.bench.servers import Servers
from tests.bench.talker import Talker

TENANT = "tenant-01"
OTHERS = 8
THEIR_CUSTOMERS = 100
# Writes of the others in a second, all of them together.
PACE = 200.0
# The purge is well under way when they begin.
_LEAD_SECONDS = 0.1
_WHOLE_SECONDS = 600.0


class WrongRows(RuntimeError):
    """Other rows are gone than should be."""


class NotMeanwhile(RuntimeError):
    """The purge was over before anybody wrote."""


class Stage:
    """On servers that run."""

    def __init__(self, running: Servers, *, customers: int) -> None:
        environment = running.product(settings="kaireon.settings")
        self.history = History(
            url=running.postgres.url("ours"), tenant=TENANT, customers=customers, now=datetime.now(UTC)
        )
        self._purger = Talker("tests.bench.purge.purger", environment=environment)
        self._scribe = Talker("tests.bench.purge.scribe", environment=environment)
        self._ours = {TENANT: [0, customers]}
        self._others = {f"tenant-{n + 2:02d}": [1_000_000 * (n + 1), THEIR_CUSTOMERS] for n in range(OTHERS)}
        self.batch = 0

    def start(self, progress: Callable[[str], object]) -> None:
        self.batch = int(self._purger.ask({"tenants": [TENANT, *self._others]})["batch"])
        self.history.load(moved=progress)
        for tenant, (first, count) in self._others.items():
            self.history.add_customers(tenant, count, offset=first)
        self._tell({"keep": self.history.days})

    def stop(self) -> None:
        self._scribe.stop()
        self._purger.stop()

    def bare(self) -> Turn:
        """The same batches of the same table, by nobody who asks for holds."""
        self.history.restore()
        before = self.history.months[1].isoformat()
        with self.history.bare():
            done = self._tell({"delete": before, "batch": self.batch})
        return self._turn(done, gone=self.history.month_rows)

    def purge(self) -> Turn:
        """The product's purge; nothing is held."""
        self.history.restore()
        return self._turn(self._tell({"purge": _WHOLE_SECONDS}), gone=self.history.month_rows)

    def purge_beside_holds(self) -> Turn:
        self.history.restore()
        hold = self._hold()
        done = self._tell({"purge": _WHOLE_SECONDS})
        self._tell({"release": hold})
        return self._turn(done, gone=self.history.month_rows - self.history.held_rows)

    def drop(self) -> Turn:
        """The month goes whole."""
        self.history.restore()
        return self._turn(self._tell({"drop": True}), gone=self.history.month_rows)

    def write(self, table: str, *, rows: int, each: int) -> Turn:
        done = self._scribe.ask({"fill": table, "tenants": self._ours, "rows": rows, "each": each})
        return Turn(rate=done["rows"] / done["seconds"])

    def write_plain(self, *, rows: int, each: int) -> Turn:
        return self.write(PLAIN, rows=rows, each=each)

    def write_months(self, *, rows: int, each: int) -> Turn:
        return self.write(TABLE, rows=rows, each=each)

    def others_alone(self, seconds: float) -> Turn:
        return latencies([ms for _, ms in self._write_for_others(seconds)])

    def others_meanwhile(self, seconds: float) -> Turn:
        """How long the others' writes take that begin while one tenant is purged."""
        self.history.restore()
        hold = self._hold()
        with ThreadPoolExecutor(1) as thread:
            purging = thread.submit(self._tell, {"purge": seconds + 2 * _LEAD_SECONDS})
            time.sleep(_LEAD_SECONDS)
            took = self._write_for_others(seconds)
            done = purging.result()
        self._tell({"release": hold})
        return latencies([ms for when, ms in took if done["began"] <= when <= done["ended"]])

    def _write_for_others(self, seconds: float) -> list[tuple[float, float]]:
        done = self._scribe.ask({"pace": PACE, "seconds": seconds, "tenants": self._others})
        return [(when, ms) for when, ms in done["took"]]

    def _hold(self) -> str:
        return str(self._tell({"hold": [str(each) for each in self.history.held]})["hold"])

    def _tell(self, order: dict[str, Any]) -> dict[str, Any]:
        return self._purger.ask({**order, "tenant": TENANT})

    def _turn(self, done: dict[str, Any], *, gone: int) -> Turn:
        left = self.history.left()
        if done["rows"] != gone or left != self.history.month_rows - gone:
            raise WrongRows(f"{done['rows']} of {gone} rows went, and {left} are left.")
        return Turn(rate=gone / (done["ended"] - done["began"]))


def latencies(ms: list[float]) -> Turn:
    """Raises NotMeanwhile."""
    if not ms:
        raise NotMeanwhile
    ordered = sorted(ms)
    p50, p99 = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
    return Turn(rate=1000 / p50, more={"p50_ms": p50, "p99_ms": p99, "writes": float(len(ordered))})
