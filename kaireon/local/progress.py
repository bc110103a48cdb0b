"""What the person at the terminal sees: one line per step, with its seconds, alive while it lasts."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(text: str = "") -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@contextmanager
def step(text: str) -> Iterator[None]:
    """Print `text` now and how it went after; dots in between once it takes more than two seconds.

    On stderr: what a command answers, such as the path of a browser, has stdout for itself.
    """
    _write(f"  {text} ")
    started = time.monotonic()
    over = threading.Event()

    def tick() -> None:
        wait = 2.0
        while not over.wait(wait):
            _write(".")
            wait = 1.0

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    outcome = "failed"
    try:
        yield
        outcome = "ok"
    finally:
        over.set()
        ticker.join()
        seconds = time.monotonic() - started
        _write(f" {outcome} ({seconds:.1f} s)\n" if seconds > 1 else f" {outcome}\n")


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
