"""The process that turns the inbox into the log, within a fraction of a second of each commit, and checkpoints it."""

import logging
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, InterfaceError, connections

from audit import events, sequencer
from audit.tree import checkpoints

logger = logging.getLogger("kaireon.audit.sequencer")

# Between two looks at the inbox when it was empty, and when it was not: twice what the sweep took, so that a busy
# machine has larger and cheaper ones. Less costs the writers more for nothing: whoever reads the log drains it first.
IDLE_SECONDS = 0.05
SHORTEST_BUSY, LONGEST_BUSY = 0.03, 0.065
LONGEST_PAUSE = 10.0
STEP_SECONDS = 0.2
# Between two looks for logs that are due for a checkpoint, and into the spool of this machine.
CHECKPOINT_SECONDS = 1.0
SPOOL_SECONDS = 1.0
FORGET_SECONDS = 3600.0
# What a chore may take of a turn. A step is not cut short.
SLICE_SECONDS = 0.02


@dataclass
class Chore:
    """What is done beside sequencing, once in a while, step by step where there are many."""

    every: float
    do: Callable[[], Iterator[object] | None]
    done_at: float = field(default=float("-inf"))
    left: Iterator[object] | None = None

    def do_when_due(self) -> None:
        """As many steps as a slice of time has room for: no record shall wait for all of them."""
        start = time.monotonic()
        if self.left is None:
            if start - self.done_at < self.every:
                return
            self.left = self.do() or iter(())
        for _ in self.left:
            if time.monotonic() - start >= SLICE_SECONDS:
                return
        self.left = None
        self.done_at = time.monotonic()


class Command(BaseCommand):
    # What is configured wrong elsewhere is told by `check`, and does not stop the log.
    requires_system_checks = ()
    help = (
        "Sequence recorded events into the audit log and sign its checkpoints, continuously."
        " Run one or more; a log is one process's at a time, by advisory lock."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="Empty spool and inboxes and stop.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["once"]:
            events.replay()
            while sequencer.sweep():
                pass
            return
        self.stopping = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        chores = [
            Chore(CHECKPOINT_SECONDS, checkpoints.make_each_due),
            Chore(SPOOL_SECONDS, _replay),
            Chore(FORGET_SECONDS, _forget),
        ]
        pause = IDLE_SECONDS
        made = 0
        while not self.stopping:
            try:
                start = time.monotonic()
                # A look costs less than a sweep that finds nothing.
                made = sequencer.sweep() if made or sequencer.is_any_waiting() else 0
                rest = _rest(time.monotonic() - start) if made else IDLE_SECONDS
                for chore in chores:
                    chore.do_when_due()
                pause = rest
            except (DatabaseError, InterfaceError) as error:
                # The rows are safe in the inbox: wait for the database and go on.
                pause = min(pause * 2, LONGEST_PAUSE)
                logger.warning(
                    "sequencer_waits", extra={"error_type": type(error).__name__, "seconds": round(pause, 2)}
                )
                connections.close_all()
                made = 0
                for chore in chores:
                    chore.left = None
            # A full batch means that more is waiting.
            if made < sequencer.BATCH and not any(chore.left for chore in chores):
                self._sleep(pause)

    def _sleep(self, seconds: float) -> None:
        """In short steps: a signal does not end a sleep, and whoever says stop shall not wait for a long one."""
        until = time.monotonic() + seconds
        while not self.stopping and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, STEP_SECONDS))

    def _stop(self, *_: object) -> None:
        self.stopping = True


def _rest(took: float) -> float:
    """Seconds of rest after a sweep that took so many."""
    return min(max(2 * took, SHORTEST_BUSY), LONGEST_BUSY)


def _replay() -> None:
    try:
        events.replay()
    except OSError as error:
        # A disk that refuses is told by its gauge; sequencing needs none.
        logger.warning("replay_waits", extra={"error_type": type(error).__name__})


def _forget() -> None:
    events.forget_arrivals()
