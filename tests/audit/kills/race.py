"""Sixteen writers and two sequencers, each a process, killed at random and replaced, and what the log must be then."""

import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import psycopg
from django.core.management import call_command
from django.db import InterfaceError, OperationalError, connections

import audit
from audit import services
from kaireon.tenancy.context import scope, transaction
from tests.audit.kills.child import fork
from tests.audit.kills.state import look
from tests.audit.log import WRITER
from tests.cast import ACME, GLOBEX
from tests.live import wait_until

LOGS = (ACME, GLOBEX)
WRITERS = 16
SEQUENCERS = 2
PACE = 0.05
# Bytes of names of confirmed transactions.
SOME_MORE = 500


class Race:
    """`run` it; then `check` what is left. Who is killed is of a fixed seed; when, is the machine's choice."""

    def __init__(self, folder: Path, *, seed: int) -> None:
        self.confirmed = folder / "confirmed"
        self.end = folder / "end"
        self.writers: list[int] = []
        self.sequencers: list[int] = []
        self._writers_ever = 0
        self._random = random.Random(seed)
        self.confirmed.touch()

    def run(self, *acts: Callable[[], object]) -> None:
        """Begin, do the acts one after the other once writing has begun, and end when some more has been written."""
        try:
            while len(self.writers) < WRITERS:
                self._start_writer()
            while len(self.sequencers) < SEQUENCERS:
                self._start_sequencer()
            self.written_more()
            for act in acts:
                act()
                time.sleep(PACE)
            self.written_more()
            self.end.touch()
            assert _ended(self.writers) == [0] * WRITERS
            # Told to end, a sequencer ends by itself.
            for pid in self.sequencers:
                os.kill(pid, signal.SIGTERM)
            assert _ended(self.sequencers) == [0] * SEQUENCERS
        except BaseException:
            while living := self.writers or self.sequencers:
                self._kill(living)
            raise

    def kill_a_writer(self) -> None:
        self._kill(self.writers)
        self._start_writer()

    def kill_a_sequencer(self) -> None:
        self._kill(self.sequencers)
        self._start_sequencer()

    def written_more(self) -> None:
        """Come back when some more transactions are confirmed."""
        enough = self.confirmed.stat().st_size + SOME_MORE
        wait_until(lambda: self.confirmed.stat().st_size > enough)

    def check(self, root: psycopg.Connection) -> None:
        """Nothing lost, nothing twice, each writer's records in its order, whole transactions only, the log proven."""
        # The last line of a writer that was killed may be cut short; it was not confirmed then.
        confirmed = [line.strip() for line in self.confirmed.read_text().splitlines(keepends=True) if "\n" in line]
        for tenant in LOGS:
            services.drain(tenant)
            waiting, logged = look(root, tenant)
            assert waiting == 0
            assert len(set(logged)) == len(logged)
            promised = {f"{name}-{half}" for name in confirmed if _log_of(name) == tenant for half in "ab"}
            assert promised <= set(logged)
            of_writer: dict[str, list[tuple[int, str]]] = defaultdict(list)
            for entity in logged:
                writer, number, half = entity.split("-")
                of_writer[writer].append((int(number), half))
            for entries in of_writer.values():
                assert entries == sorted(entries)
                assert [half for _, half in entries] == ["a", "b"] * (len(entries) // 2)

    def _start_writer(self) -> None:
        self._writers_ever += 1
        name = self._writers_ever
        self.writers.append(fork(lambda: self._write(name)))

    def _write(self, writer: int) -> None:
        file = os.open(self.confirmed, os.O_WRONLY | os.O_APPEND)
        number = 0
        while not self.end.exists():
            number += 1
            name = f"{writer}-{number}"
            try:
                with scope(tenant_id=_log_of(name), actor=WRITER), transaction():
                    for half in "ab":
                        audit.record(action="test.event", entity_type="Thing", entity_id=f"{name}-{half}")
            except (OperationalError, InterfaceError):
                # Nobody knows whether it was committed.
                connections.close_all()
                time.sleep(PACE)
            else:
                os.write(file, f"{name}\n".encode())

    def _kill(self, living: list[int]) -> None:
        pid = living.pop(self._random.randrange(len(living)))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def _start_sequencer(self) -> None:
        self.sequencers.append(fork(lambda: call_command("audit_sequencer")))


def _log_of(name: str) -> str:
    """Two in three go to one log: a hot one and another."""
    return LOGS[int(name.split("-")[1]) % 3 == 0]


def _ended(living: list[int]) -> list[int]:
    """How each ended. None is on the list any more by then: its number may be a stranger's."""
    codes = []
    while living:
        codes.append(os.waitstatus_to_exitcode(os.waitpid(living[0], 0)[1]))
        del living[0]
    return codes
