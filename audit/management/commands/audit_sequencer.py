"""The process that turns the inbox into the log, within a fraction of a second of each commit, and checkpoints it."""

import logging
import signal
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, connections

from audit import checkpoints, sequencer

logger = logging.getLogger("kaireon.audit.sequencer")

# Between two looks at the inbox. Shorter costs the writers more for nothing: whoever reads the log drains it first.
IDLE_SECONDS = 0.05
LONGEST_PAUSE = 10.0
# Between two looks for logs that are due for a checkpoint.
CHECKPOINT_SECONDS = 1.0


class Command(BaseCommand):
    help = (
        "Sequence recorded events into the audit log and sign its checkpoints, continuously."
        " Run one or more; they take turns by lock."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="Empty the inboxes and stop.")

    def handle(self, *args: Any, **options: Any) -> None:
        self.stopping = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        pause = IDLE_SECONDS
        looked = 0.0
        while not self.stopping:
            try:
                made = sequencer.sweep()
                if time.monotonic() - looked >= CHECKPOINT_SECONDS and not options["once"]:
                    checkpoints.make_due()
                    looked = time.monotonic()
                pause = IDLE_SECONDS
            except DatabaseError as error:
                if options["once"]:
                    raise
                # The rows are safe in the inbox: wait for the database and go on.
                pause = min(pause * 2, LONGEST_PAUSE)
                logger.warning(
                    "sequencer_waits", extra={"error_type": type(error).__name__, "seconds": round(pause, 2)}
                )
                connections[sequencer.ALIAS].close()
                made = 0
            if not made and options["once"]:
                return
            # A full batch means that more is waiting.
            if made < sequencer.BATCH and not options["once"]:
                time.sleep(pause)

    def _stop(self, *_: object) -> None:
        self.stopping = True
