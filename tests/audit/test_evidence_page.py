"""The table of attacks in docs/evidence.md names tests that exist."""

import re
from pathlib import Path

from django.conf import settings

PROJECT = Path(settings.BASE_DIR)
HERE = PROJECT / "tests" / "audit"


def named() -> list[tuple[str, str]]:
    """File and test, of each row of the table: a name without a file is in the file of the name before it."""
    page = (PROJECT / "docs" / "evidence.md").read_text().split("## Attacks on the log")[1]
    found = []
    for row in re.findall(r"^\|(?! attack|---)(.+)\|$", page, re.MULTILINE):
        file = "test_verify.py"
        names = re.findall(r"`([^`]*[tT]est[^`]*)`", row.split(" | ")[-1])
        assert names, row
        for name in names:
            first, _, rest = name.partition("::")
            file, test = (first, rest) if first.endswith(".py") else (file, name)
            found.append((file, test))
    return found


def test_every_attack_has_tests_that_exist() -> None:
    assert len(named()) > 30
    for file, test in named():
        source = (HERE / file).read_text()
        for part in test.split("::"):
            assert re.search(rf"^\s*(def|class) {part}\b", source, re.MULTILINE), f"{file}: {part}"
