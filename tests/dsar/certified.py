"""A certificate as somebody outside has it: fetched over HTTP, checked by the verifier alone."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from audit.offline import kaireon_verify
from audit.tree import signing
from dsar.models import DsarRequest
from kaireon.tenancy.context import transaction
from tests.caller import with_key
from tests.cast import ACME, ADA

PROGRAM = Path(kaireon_verify.__file__)


def taken(request: DsarRequest) -> bytes:
    answer = with_key("ada").get(f"/dsar/{request.pk}/certificate")
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "application/json"
    assert answer["Content-Disposition"] == f'attachment; filename="erasure-certificate-{request.pk}.json"'
    assert answer["Cache-Control"] == "no-store"
    return bytes(answer.content)


def fetched(request: DsarRequest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(taken(request))
    return found


def checked(folder: Path, content: bytes, *options: str) -> tuple[int, dict[str, Any]]:
    """What the program says of it, with no site packages and nothing of the environment."""
    path = folder / "certificate.json"
    path.write_bytes(content)
    run = subprocess.run(
        [sys.executable, "-I", "-S", str(PROGRAM), str(path), "--json", *options],
        capture_output=True,
        text=True,
        env={},
        cwd=folder,
        check=False,
    )
    assert run.stderr == ""
    return run.returncode, json.loads(run.stdout)


def said_of(folder: Path, content: bytes, *options: str) -> tuple[int, str | None, str]:
    """The same without a process of its own: exit code, reason, message."""
    path = folder / "certificate.json"
    path.write_bytes(content)
    answer = kaireon_verify.run(kaireon_verify._options([str(path), *options]))
    return answer.exit, answer.broken and answer.broken.reason, answer.message


def pinned() -> str:
    with ADA.here(), transaction():
        return str(signing.public_key(signing.keys(ACME)[0]))
