"""The short form of `make chaos`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import PROJECT

# Always the same, so that what fails is the fault of a change rather than of chance. `make chaos` takes another.
SEED = "20261121"


@pytest.mark.slow
def test_whatever_dies_nothing_is_lost_and_nothing_happens_twice(tmp_path: Path) -> None:
    """In a process of its own: it brings its own servers, which this one's settings know nothing of."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--seed", SEED, "--minutes", "0.17", "--keep", str(tmp_path / "chaos")],
        cwd=PROJECT,
        env={name: value for name, value in os.environ.items() if name != "KAIREON_TEST_RUN"},
        capture_output=True,
        text=True,
        timeout=420,
        check=False,
    )
    assert ran.returncode == 0, f"seed {SEED}\n{ran.stdout}\n{ran.stderr}"
    assert "Everything happened once" in ran.stdout
