"""manage.py audit_spool."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit import events
from tests.audit.spool.events import refuse


def test_the_command_has_nothing_to_say_of_a_spool_that_never_was_needed(
    db: str, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("audit_spool", "--replay", "--retry-aside", "--json")
    said = json.loads(capsys.readouterr().out)
    assert (said["waiting"], said["aside"], said["bytes"], said["broughtIn"]) == (0, 0, 0, 0)


def test_the_command_says_when_there_is_no_database(away: Callable[[], Any]) -> None:
    with away():
        refuse(1)
        with pytest.raises(CommandError, match="nothing is lost"):
            call_command("audit_spool", "--replay")
    assert events.folder().waiting() == 1
