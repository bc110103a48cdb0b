"""The checks of `make check` that need the product's settings: `python -m kaireon.local.checks NAME`.

They run manage.py under the settings of a production installation, with invented secrets and nothing to connect to.
"""

import base64
import difflib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from kaireon.local.folder import PROJECT
from kaireon.local.progress import complain, say

# Each generated file and the manage.py command that prints it.
GENERATED: Mapping[str, tuple[str, ...]] = {
    "docs/openapi.yaml": ("spectacular", "--validate", "--fail-on-warn"),
}
# Commands that write their file themselves, and compare it with `--check`.
WRITERS = ("catalogue_page",)

_PIP_COMPILE = (
    "--quiet",
    # pip and setuptools too: an installation with hashes wants them pinned.
    "--allow-unsafe",
    "--generate-hashes",
    "--no-emit-find-links",
    "--no-emit-index-url",
    "--no-emit-options",
    "--no-emit-trusted-host",
    "--strip-extras",
)

_SECRET = "made-up-for-checks-" + "0123456789abcdef" * 3
_NOWHERE = "postgresql://{}:nothing@127.0.0.1:1/nowhere"

PRODUCTION_LIKE = {
    "KAIREON_ENV_FILE": os.devnull,
    "ENVIRONMENT": "production",
    "DEBUG": "false",
    "SECURE_COOKIES": "true",
    "ALLOWED_HOSTS": "compliance.example.com",
    "CSRF_TRUSTED_ORIGINS": "https://compliance.example.com",
    "TRUSTED_PROXIES": "1",
    "SECRET_KEY": _SECRET,
    "API_KEY_PEPPER": _SECRET[::-1],
    "SEALING_KEYS": "v1:" + base64.b64encode(bytes(range(32))).decode(),
    "CRON_SECRET": _SECRET[:32],
    "SCHEDULER_SERVICE_API_KEY": _SECRET[8:40],
    "DATABASE_URL": _NOWHERE.format("kaireon_app"),
    "OWNER_DATABASE_URL": _NOWHERE.format("kaireon_owner"),
    "SEQUENCER_DATABASE_URL": _NOWHERE.format("kaireon_sequencer"),
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "DJANGO_SETTINGS_MODULE": "kaireon.settings",
}


def migrations() -> int:
    # The warning that the database cannot be asked for its history is expected: there is none.
    return _manage("makemigrations", "--check", "--dry-run", quiet_stderr=True).returncode


def settings() -> int:
    return _manage("check", "--deploy", "--fail-level", "WARNING").returncode


def generated() -> int:
    """Compare every generated file with what its source says now; print the difference."""
    stale = 0
    for name, command in GENERATED.items():
        file = PROJECT / name
        before = file.read_text() if file.exists() else ""
        now = _print(command)
        if before != now:
            stale += 1
            lines = difflib.unified_diff(before.splitlines(), now.splitlines(), name, "its source", lineterm="", n=1)
            complain("\n".join(list(lines)[:40]))
            complain(f"{name} is not what its source says: run `make generate`.")
    stale += sum(_manage(command, "--check").returncode != 0 for command in WRITERS)
    return min(stale, 1)


def generate() -> int:
    for name, command in GENERATED.items():
        file = PROJECT / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_print(command))
        say(f"{name} written.")
    return max(_manage(command).returncode for command in WRITERS)


def lock() -> int:
    """Pin requirements*.in. The addresses of whatever index served it stay out of the files."""
    for name in ("requirements", "requirements-dev"):
        command = [
            sys.executable,
            "-m",
            "piptools",
            "compile",
            *_PIP_COMPILE,
            f"--output-file={name}.txt",
            f"{name}.in",
        ]
        # What the head of the file names as its maker.
        env = {**os.environ, "CUSTOM_COMPILE_COMMAND": "make lock"}
        subprocess.run(command, cwd=PROJECT, check=True, env=env)  # noqa: S603 - fixed arguments
        say(f"{name}.txt written.")
    return 0


CHECKS = {
    "migrations": migrations,
    "settings": settings,
    "generated": generated,
    "generate": generate,
    "lock": lock,
}


def _print(command: tuple[str, ...]) -> str:
    result = _manage(*command, capture=True)
    if result.returncode != 0:
        raise SystemExit(f"manage.py {' '.join(command)} failed:\n{result.stderr}")
    return result.stdout


def _manage(*arguments: str, capture: bool = False, quiet_stderr: bool = False) -> "subprocess.CompletedProcess[str]":
    stderr = subprocess.PIPE if capture else subprocess.DEVNULL if quiet_stderr else None
    return subprocess.run(  # noqa: S603 - fixed arguments
        [sys.executable, str(Path("manage.py")), *arguments],
        cwd=PROJECT,
        env={**os.environ, **PRODUCTION_LIKE},
        stdout=subprocess.PIPE if capture else None,
        stderr=stderr,
        text=True,
        check=False,
    )


def main() -> int:
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in CHECKS:
        complain(f"usage: python -m kaireon.local.checks {'|'.join(CHECKS)}")
        return 2
    return CHECKS[name]()


if __name__ == "__main__":
    sys.exit(main())
