"""The version that signed things name is the one that is released."""

import tomllib
from pathlib import Path

from kaireon.lib import product


def test_the_version_is_that_of_the_project_file():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["version"] == product.VERSION
