"""A bounded folder of lines on this machine's disk, for what cannot be put where it belongs now. Knows no contents.

A line that `append` returned from is on the disk, whatever dies next; one that it did not return from is there whole,
cut short or not at all, and a cut one is known by its checksum. Any number of processes may append; one at a time
takes: it gives the file another name first, so that nobody waits for it, and removes it when all of it is done.

    current.spool     appended to
    <id>.taken        being emptied, by whoever holds `taking.lock`
    aside.spool       lines that cannot be used: kept for somebody to look at
"""

import fcntl
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kaireon.lib.ids import uuid7

_CURRENT = "current.spool"
_ASIDE = "aside.spool"
_TAKEN = ".taken"


class SpoolFull(OSError):
    """It holds as much as it may: what was to be kept is not. Refuse what it came from."""


class Damaged(ValueError):
    """The line is not as it was written: cut short by a crash, or changed."""


class Spool:
    def __init__(self, folder: Path, *, limit: int) -> None:
        """`limit` is in bytes and covers all that is in the folder."""
        self.folder = folder
        self.limit = limit

    def append(self, content: bytes) -> None:
        """Keep one line; `content` holds no newline. Raises SpoolFull, and OSError when the disk refuses."""
        line = b"%08x %s\n" % (zlib.crc32(content), content)
        self._prepare()
        with self._locked("appending.lock"):
            if self.size() + len(line) + 1 > self.limit:
                raise SpoolFull(f"The spool holds its {self.limit} bytes.")
            self._write(self.folder / _CURRENT, line)

    def is_empty(self) -> bool:
        """Whether nothing waits. Lines set aside do not wait."""
        return not any(path.name != _ASIDE for path in self._files())

    def size(self) -> int:
        """What it takes of its limit, in bytes."""
        return sum(_size(path) for path in self._files())

    def waiting(self) -> int:
        """How many lines wait."""
        return sum(_lines(path) for path in self._files() if path.name != _ASIDE)

    def aside(self) -> int:
        """How many lines could not be used."""
        return _lines(self.folder / _ASIDE)

    @contextmanager
    def taking(self) -> Iterator[list[Path]]:
        """The files to be emptied, oldest first; none while another process is at it. Call `done` for each."""
        if self.is_empty():
            yield []
            return
        with self._locked("taking.lock", wait=False) as mine:
            yield self._taken() if mine else []

    def done(self, taken: Path) -> None:
        """All of the file is where it belongs, or set aside."""
        taken.unlink()
        _sync(self.folder)

    def set_aside(self, lines: Iterable[bytes]) -> int:
        """Keep lines that cannot be used, each once; gives how many are new. Raises OSError."""
        path = self.folder / _ASIDE
        known = raw_lines(path) if path.exists() else []
        new = [line for line in dict.fromkeys(lines) if line not in known]
        if new:
            # Made beside its place and renamed when whole: half a line of what is damaged would be a riddle.
            beside = path.with_suffix(".new")
            beside.unlink(missing_ok=True)
            self._write(beside, b"".join(line + b"\n" for line in (*known, *new)))
            beside.rename(path)
            _sync(self.folder)
        return len(new)

    def retry_aside(self) -> None:
        """Let the lines that were set aside be tried again, by the next who takes. Raises OSError."""
        if not self.aside():
            return
        with self._locked("taking.lock"):
            path = self.folder / _ASIDE
            if path.exists():
                path.rename(self.folder / f"{uuid7()}{_TAKEN}")
                _sync(self.folder)

    def _taken(self) -> list[Path]:
        with self._locked("appending.lock"):
            current = self.folder / _CURRENT
            if current.exists():
                current.rename(self.folder / f"{uuid7()}{_TAKEN}")
                _sync(self.folder)
        return sorted(self.folder.glob(f"*{_TAKEN}"))

    def _files(self) -> list[Path]:
        try:
            there = list(self.folder.iterdir())
        except FileNotFoundError:
            return []
        return [path for path in there if path.name in (_CURRENT, _ASIDE) or path.suffix == _TAKEN]

    def _prepare(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.folder.stat().st_mode & 0o077:
            self.folder.chmod(0o700)

    def _write(self, path: Path, data: bytes) -> None:
        """All of it on the disk, or the file as it was."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            before = os.fstat(fd).st_size
            # Whoever died in the middle of a line shall not spoil the next one.
            torn = before > 0 and os.pread(fd, 1, before - 1) != b"\n"
            data = (b"\n" if torn else b"") + data
            try:
                while data:
                    data = data[os.write(fd, data) :]
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, before)
                raise
        finally:
            os.close(fd)
        if not before:
            _sync(self.folder)

    @contextmanager
    def _locked(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        fd = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(fd)


def raw_lines(path: Path) -> list[bytes]:
    """The lines of a file as they stand there, without their newlines."""
    return [line for line in path.read_bytes().split(b"\n") if line]


def content_of(line: bytes) -> bytes:
    """What `append` was given. Raises Damaged."""
    checksum, _, content = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(content):
        raise Damaged("the checksum does not fit")
    return content


def _lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        # Done meanwhile.
        return 0


def _sync(folder: Path) -> None:
    """A file's name is on the disk only when its folder is."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
