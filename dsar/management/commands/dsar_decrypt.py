"""Open an encrypted dossier."""

import codecs
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from dsar.dossiers.opening import Envelope, NotAnEnvelope
from kaireon.lib.long_json import CutShort
from kaireon.lib.sealing import CannotOpen, UnknownKeyVersion


class Command(BaseCommand):
    help = "Open an encrypted dossier with the key version on SEALING_KEYS that sealed it. Writes portable JSON."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="The envelope as downloaded, or a request's answer; - reads standard input.")
        parser.add_argument("--out", type=Path, help="Write here, readable by you alone, instead of standard output.")

    def handle(self, *args: Any, **options: Any) -> None:
        name: str = options["file"]
        out: Path | None = options["out"]
        with _told(name), _source(name) as file:
            envelope = Envelope(file)
            if out is not None:
                size = _write(envelope, out)
                self.stderr.write(f"{size} bytes written to {out}")
                return
            # Nobody takes back what went down a pipe: so the end of it is looked at first.
            for _ in envelope.opened():
                pass
            for chunk in _characters(envelope.opened()):
                self.stdout.write(chunk, ending="")


def _write(envelope: Envelope, out: Path) -> int:
    """All of it or nothing: it comes under its name when it is whole. How many bytes."""
    if out.exists():
        raise CommandError(f"{out}: File exists. An existing file is not overwritten.")
    try:
        # Readable by its owner alone, whatever the umask says.
        descriptor, made = tempfile.mkstemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent)
        partial = Path(made)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for chunk in envelope.opened():
                    file.write(chunk)
                size = file.tell()
                file.flush()
                os.fsync(file.fileno())
            _name(partial, out)
        finally:
            partial.unlink(missing_ok=True)
    except FileExistsError as e:
        raise CommandError(f"{out}: {e.strerror}. An existing file is not overwritten.") from e
    except OSError as e:
        raise CommandError(f"{out}: {e.strerror}. Nothing was written.") from e
    return size


def _name(partial: Path, out: Path) -> None:
    """Raises FileExistsError: unlike a renaming, a link does not overwrite what was put there meanwhile."""
    try:
        os.link(partial, out)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links. That nothing was there, `_write` saw.
        partial.rename(out)


def _characters(chunks: Iterator[bytes]) -> Iterator[str]:
    """The same text, cut between characters."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for chunk in chunks:
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True) + "\n"


@contextmanager
def _source(name: str) -> Iterator[IO[bytes]]:
    """A file that can be read twice. What comes through a pipe is sealed, so it may lie on a disk."""
    if name != "-":
        with Path(name).open("rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.seek(0)
        yield file


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What is wrong with the file, in a line."""
    try:
        yield
    except OSError as e:
        raise CommandError(f"{e.filename or name}: {e.strerror}.") from e
    except UnicodeDecodeError as e:
        raise CommandError(f"{name}: this is not UTF-8 text.") from e
    except json.JSONDecodeError as e:
        raise CommandError(f"{name}: this is not JSON (line {e.lineno}).") from e
    except CutShort as e:
        raise CommandError(f"{name}: {e}. Fetch it again.") from e
    except NotAnEnvelope as e:
        raise CommandError(f"{name}: {e}") from e
    except UnknownKeyVersion as e:
        raise CommandError(f"{name}: {e}. Put that version back into SEALING_KEYS.") from e
    except CannotOpen as e:
        raise CommandError(f"{name}: {e}.") from e
