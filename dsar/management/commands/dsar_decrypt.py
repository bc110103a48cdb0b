"""Open an encrypted dossier."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from dsar.dossiers.dossier import NotAnEnvelope, open_envelope
from kaireon.lib.sealing import CannotOpen, UnknownKeyVersion

_OWNER_ONLY = 0o600


class Command(BaseCommand):
    help = "Open an encrypted dossier with the key version on SEALING_KEYS that sealed it. Writes portable JSON."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="The envelope as downloaded, or a request's answer; - reads standard input.")
        parser.add_argument("--out", type=Path, help="Write here, readable by you alone, instead of standard output.")

    def handle(self, *args: Any, **options: Any) -> None:
        portable = _open(options["file"])
        out: Path | None = options["out"]
        if out is None:
            self.stdout.write(portable.decode())
            return
        try:
            descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        except OSError as e:
            raise CommandError(f"{out}: {e.strerror}. An existing file is not overwritten.") from e
        with os.fdopen(descriptor, "wb") as file:
            file.write(portable)
        self.stderr.write(f"{len(portable)} bytes written to {out}")


def _open(name: str) -> bytes:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        return b"".join(open_envelope(json.loads(text)))
    except OSError as e:
        raise CommandError(f"{name}: {e.strerror}.") from e
    except UnicodeDecodeError as e:
        raise CommandError(f"{name}: this is not UTF-8 text.") from e
    except json.JSONDecodeError as e:
        raise CommandError(f"{name}: this is not JSON (line {e.lineno}, column {e.colno}).") from e
    except NotAnEnvelope as e:
        raise CommandError(f"{name}: {e}") from e
    except UnknownKeyVersion as e:
        raise CommandError(f"{name}: {e}. Put that version back into SEALING_KEYS.") from e
    except CannotOpen as e:
        raise CommandError(f"{name}: {e}.") from e
