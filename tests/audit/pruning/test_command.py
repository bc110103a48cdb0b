"""manage.py audit_prune."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.pruning import tombstones
from audit.tree import signing
from kaireon import env
from kaireon.tenancy.context import transaction
from tests.audit.pruning.old_log import approve, approved
from tests.audit.pruning.old_log import tombstones as stones
from tests.cast import ACME, ADA

pytestmark = pytest.mark.usefixtures("db")


class TestCommand:
    def test_from_plan_to_tombstone(self, size: int, capsys: pytest.CaptureFixture[str]) -> None:
        def run(*arguments: str) -> Any:
            call_command("audit_prune", "--tenant", ACME, *arguments, "--json", verbosity=0)
            return json.loads(capsys.readouterr().out)

        plan = run("--plan")
        assert (plan["firstSeq"], plan["lastSeq"], plan["records"], plan["inTheWay"]) == (1, size, size, [])
        assert plan["bytes"] > 100 * size
        with pytest.raises(CommandError, match="no approved request waits"):
            run("--apply")
        approve(run("--plan", "--ask-as", ADA.email)["request"])
        done = run("--apply")
        assert (done["lastSeq"], done["alreadyDone"]) == (size, False)
        [listed] = run("--list")["tombstones"]
        assert listed["tombstone"] == done["tombstone"]
        with ADA.here(), transaction():
            keys = [signing.public_key(key) for key in signing.keys(ACME)]
        assert tombstones.parse(listed["tombstone"], keys)["archive"]["name"] == plan["archive"]

    def test_for_people(self, size: int, capsys: pytest.CaptureFixture[str]) -> None:
        call_command("audit_prune", "--tenant", ACME, "--plan")
        assert f"records 1 to {size}" in capsys.readouterr().out
        request = approved()
        call_command("audit_prune", "--tenant", ACME, "--apply", "--request", str(request), verbosity=0)
        assert f"Removed: records 1 to {size}" in capsys.readouterr().out
        call_command("audit_prune", "--tenant", ACME, "--list")
        assert "kaireon tombstone v1" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--tenant", "nobody", "--plan"], "no active tenant"),
            (["--tenant", "_platform", "--plan"], "no active tenant"),
            (["--tenant", ACME, "--apply", "--ask-as", ADA.email], "--ask-as goes with --plan"),
            (["--tenant", ACME, "--plan", "--request", "01900000-0000-7000-8000-000000000000"], "goes with --apply"),
            (["--tenant", ACME, "--plan", "--ask-as", "nobody@acme.example"], "no member of this tenant"),
            (["--tenant", ACME, "--plan", "--ask-as", "vi@acme.example"], "may not manage retention"),
        ],
    )
    def test_it_says_what_is_wrong(self, size: int, arguments: list[str], message: str) -> None:
        with pytest.raises(CommandError, match=message):
            call_command("audit_prune", *arguments)


def test_the_command_wants_the_owner(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    approved()
    monkeypatch.setattr(env, "OWNER_DATABASE_URL", "")
    with pytest.raises(CommandError, match="needs OWNER_DATABASE_URL"):
        call_command("audit_prune", "--tenant", ACME, "--apply")
    assert stones() == []
