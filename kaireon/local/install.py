"""Make `.venv` and install pinned requirements into it. Stand-alone: run by path, by any Python 3, nothing needed.

    python3 kaireon/local/install.py requirements.txt [requirements-dev.txt]

Does nothing, quickly, when those files are already installed as they are now.
"""

import hashlib
import os
import subprocess
import sys
import time

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(PROJECT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
OLDEST = (3, 11)


def main() -> None:
    if sys.version_info < OLDEST:
        sys.exit(
            "Kaireon needs Python {}.{} or newer; {} is {}. Name another: make run PYTHON=python3.12".format(
                *OLDEST, sys.executable, sys.version.split()[0]
            )
        )
    wanted = sys.argv[1:]
    stamp = os.path.join(VENV, "installed-" + "-".join(name.replace(".txt", "") for name in wanted))
    digest = _digest(wanted)
    if os.path.exists(PYTHON) and os.path.exists(stamp):
        with open(stamp) as file:
            if file.read() == digest:
                return
    if not os.path.exists(PYTHON):
        _make_environment()
    _install(wanted)
    with open(stamp, "w") as file:
        file.write(digest)


def _digest(wanted: "list[str]") -> str:
    digest = hashlib.sha256(sys.version.encode())
    for name in wanted:
        with open(os.path.join(PROJECT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def _make_environment() -> None:
    _say("  Virtual environment ")
    result = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "venv", VENV], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if result.returncode != 0:
        sys.exit(
            "failed\n"
            + result.stdout.decode(errors="replace")
            + "\nOn Debian and Ubuntu the package python3-venv carries what is missing."
        )
    _say(" ok\n")


def _install(wanted: "list[str]") -> None:
    total = 0
    for name in wanted:
        with open(os.path.join(PROJECT, name)) as file:
            total += sum("==" in line for line in file)
    command = [PYTHON, "-m", "pip", "install", "--require-hashes", "--disable-pip-version-check", "--no-input"]
    # What is imported is compiled then: a fraction of it all, and that takes as long as unpacking.
    command.append("--no-compile")
    for name in wanted:
        command += ["-r", os.path.join(PROJECT, name)]
    _say("  Packages ({}) ".format(total))
    started = shown = time.monotonic()
    process = subprocess.Popen(  # noqa: S603 - our own interpreter
        [*command, "--progress-bar", "off"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    lines = []
    if process.stdout is not None:
        for line in process.stdout:
            lines.append(line.decode(errors="replace"))
            if line.startswith(b"Installing collected"):
                _say(" unpacking ")
            elif time.monotonic() - shown > 1:
                shown = time.monotonic()
                _say(".")
    if process.wait() != 0:
        sys.exit("failed\n" + "".join(lines[-15:]))
    _say(" ok ({:.0f} s)\n".format(time.monotonic() - started))


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
