"""A process that does what it is told, in JSON lines on its standard input, and answers likewise."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from kaireon.local.folder import PROJECT

_WAIT_SECONDS = 60.0


class ContestantFailed(Exception):
    """A process ended in the middle; its own message is on standard error."""


class Talker:
    """The asking side: starts `python -m MODULE ARGUMENT…`."""

    def __init__(self, module: str, *arguments: str, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=PROJECT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        if self._process.stdin is None or self._process.stdout is None:
            raise ContestantFailed(self._module)
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise ContestantFailed(f"{self._module} ended.")
        return dict(json.loads(answer))

    def stop(self) -> None:
        # The end of its input ends it in order, and so what it started.
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=_WAIT_SECONDS)


def answer(respond: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
    """The answering side: one answer for each order, until there are no more."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(respond(json.loads(line))) + "\n")
        sys.stdout.flush()
