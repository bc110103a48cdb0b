"""How far long work has come: a bar where somebody watches, a line now and then where nobody does."""

import sys
import time
from types import TracebackType
from typing import Self, TextIO

_WIDTH = 24
_BAR_SECONDS = 0.1
_LINE_SECONDS = 5.0


class Progress:
    """Counts towards a total in units of the caller's choice (bytes, rows) and shows it on stderr.

    On a terminal one line is drawn over and over; elsewhere a line is written every five seconds.
    """

    def __init__(self, label: str, *, total: int, stream: TextIO | None = None, quiet: bool = False) -> None:
        self._label = label
        self._total = max(total, 1)
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._is_terminal = self._stream.isatty()
        self._started = self._shown = time.monotonic()
        self._begun_at = 0
        self._done = 0
        self._note = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._done = self._total
        self._show(final=True)

    def resume_at(self, done: int) -> None:
        """Start from here: what was done before is not part of the rate."""
        self._done = self._begun_at = done

    def advance(self, by: int, note: str = "") -> None:
        self.move_to(self._done + by, note)

    def move_to(self, done: int, note: str = "") -> None:
        self._done, self._note = done, note or self._note
        if time.monotonic() - self._shown >= (_BAR_SECONDS if self._is_terminal else _LINE_SECONDS):
            self._show()

    def line(self) -> str:
        """`customers  [######------------------]  25 %  1,000 rows  00:12 left`"""
        share = min(self._done / self._total, 1.0)
        filled = int(share * _WIDTH)
        parts = [self._label, f"[{'#' * filled}{'-' * (_WIDTH - filled)}]", f"{share:4.0%}"]
        if self._note:
            parts.append(self._note)
        if share < 1 and (left := self._seconds_left()) is not None:
            parts.append(f"{int(left // 60):02}:{int(left % 60):02} left")
        return "  ".join(parts)

    def _seconds_left(self) -> float | None:
        done, elapsed = self._done - self._begun_at, time.monotonic() - self._started
        return (self._total - self._done) * elapsed / done if done > 0 and elapsed > 1 else None

    def _show(self, *, final: bool = False) -> None:
        if self._quiet:
            return
        self._shown = time.monotonic()
        if self._is_terminal:
            # Erase to the end of the line: the new one may be shorter.
            self._stream.write(f"\r{self.line()}\x1b[K" + ("\n" if final else ""))
        else:
            self._stream.write(f"{self.line()}\n")
        self._stream.flush()
