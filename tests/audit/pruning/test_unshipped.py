"""A prune waits for the destinations of the log, unless two people agreed to go ahead without them."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.following import cursors
from audit.models import SiemDestination
from audit.pruning import archive
from audit.pruning import prune as pruning
from audit.pruning.unshipped import EVERY
from audit.shipping import destinations
from compliance.purging import log_prefixes
from kaireon.approvals.models import ApprovalRequest
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.audit.pruning.old_log import applied, approve, approved, planned
from tests.audit.pruning.old_log import tombstones as stones
from tests.cast import ACME, ADA

pytestmark = pytest.mark.usefixtures("db")


def operators(settings: Any, **other: str) -> None:
    given = {"BACKEND": "splunk", "ENDPOINT": "https://splunk.example.com:8088", "API_KEY": "key", **other}
    for name, value in given.items():
        setattr(settings, f"SIEM_{name}", value)


def own(name: str = "threshold", *, paused: bool = False) -> SiemDestination:
    given: dict[str, Any] = dict.fromkeys(("index", "sourcetype", "search_endpoint"), "")
    given |= {"name": name, "backend": "splunk", "endpoint": "https://splunk.example.com:8088"}
    given |= {"event_bytes": None, "is_gzipped": True, "is_paused": paused}
    with ADA.here(), transaction():
        return destinations.save(row=None, given=given, api_key="key", search_key=None, now=clock.now())


def confirmed(key: object, seq: int) -> None:
    """As if the destination had confirmed the records up to here, or was set back to it."""
    with ADA.here(), transaction():
        cursor = cursors.opened(f"siem:{key}", now=clock.now())
        cursors.move(cursor, to=seq, now=clock.now())


def asked(**options: Any) -> ApprovalRequest:
    with ADA.here(), transaction():
        return pruning.ask(pruning.make_plan(now=clock.now(), **options), actor=ADA.actor, now=clock.now())


def test_it_waits_for_each_destination_until_that_has_the_last_record(size: int, settings: Any) -> None:
    operators(settings)
    paused = own(paused=True)
    theirs, its = planned().in_the_way
    assert theirs == (
        f"the SIEM destination operator has confirmed no record of {size}; run the job siem-ship,"
        " or ask with --unshipped"
    )
    assert f"threshold has confirmed no record of {size}; it is paused: let it go on, then run the job" in its
    with ADA.here():
        assert log_prefixes.ask(now=clock.now(), dry_run=True).standing == "unshipped"

    confirmed(destinations.OPERATOR, size)
    confirmed(paused.pk, size - 1)
    (left,) = planned().in_the_way
    assert f"threshold has confirmed records up to {size - 1} of {size}" in left
    with pytest.raises(pruning.NothingToPrune, match="threshold"):
        approved()

    confirmed(paused.pk, size)
    assert planned().in_the_way == ()
    assert "unshipped" not in planned().as_dict()
    request = approved()
    # Set back between the yes and the removal.
    confirmed(paused.pk, 3)
    with pytest.raises(pruning.NothingToPrune, match="threshold has confirmed records up to 3"):
        applied(request)
    confirmed(paused.pk, size)
    assert applied(request).tombstone.last_seq == size


def test_the_operators_by_halves_is_told_and_waited_for(size: int, settings: Any) -> None:
    operators(settings, API_KEY="")
    (fact,) = planned().in_the_way
    assert "operator has confirmed no record" in fact
    assert "it cannot be shipped to (SIEM_API_KEY is not set)" in fact


def test_two_people_may_go_ahead_without_those_they_know_of(
    size: int, settings: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    operators(settings)
    confirmed(destinations.OPERATOR, 12)
    with pytest.raises(CommandError, match="Nothing was asked for: the SIEM destination operator has confirmed"):
        call_command("audit_prune", "--tenant", ACME, "--plan", "--ask-as", ADA.email)
    with pytest.raises(CommandError, match="--unshipped goes with --plan"):
        call_command("audit_prune", "--tenant", ACME, "--apply", "--unshipped")
    call_command("audit_prune", "--tenant", ACME, "--plan", "--unshipped")
    assert "Goes ahead   1 SIEM destination without them: operator has up to 12" in capsys.readouterr().out
    call_command("audit_prune", "--tenant", ACME, "--plan", "--ask-as", ADA.email, "--unshipped", "--json")
    said = json.loads(capsys.readouterr().out)
    assert said["inTheWay"] == []
    assert said["unshipped"] == [{"destination": "operator", "name": "operator", "confirmed": 12}]
    with ADA.here(), transaction():
        row = ApprovalRequest.objects.get(pk=said["request"])
    assert row.summary == (
        f"Records 1 to {size} leave the audit log for the archive,"
        " 1 SIEM destination without them: operator has up to 12"
    )

    # One that nobody who agreed knew of, first before the yes, then after it, then while the archive is written.
    extra = own()
    refused = approve(row.pk)
    assert (refused.state, refused.error) == ("failed", "not_shipped")
    confirmed(extra.pk, size)
    request = asked(without=EVERY).pk
    assert approve(request).state == "approved"
    confirmed(destinations.OPERATOR, 11)
    with pytest.raises(pruning.NothingToPrune, match="operator has confirmed records up to 11"):
        applied(request)
    confirmed(destinations.OPERATOR, 20)
    keep = archive.keep

    def set_back_meanwhile(*args: Any, **more: Any) -> archive.Archive:
        kept = keep(*args, **more)
        confirmed(extra.pk, 0)
        return kept

    with monkeypatch.context() as slow:
        slow.setattr(archive, "keep", set_back_meanwhile)
        with pytest.raises(pruning.NothingToPrune, match="threshold has confirmed no record"):
            applied(request)
    assert stones() == []
    confirmed(extra.pk, size)
    assert applied(request).tombstone.last_seq == size


def test_of_many_the_summary_counts_all_and_names_some(size: int) -> None:
    for number in range(4):
        own(f"{'x' * 60}-{number}")
    summary = asked(without=EVERY).summary
    assert "4 SIEM destinations without them: xxx" in summary
    assert summary.endswith("…")
    assert len(summary) < 200
