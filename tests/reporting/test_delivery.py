"""Telling people that a report is there: in the vendors' forms, once, with no figure of it; and what became of that."""

import json
from typing import Any

import jsonschema
import pytest

from compliance.models import NotificationProvider
from compliance.reporting import runs
from kaireon.lib import clock
from kaireon.outbox import payloads
from kaireon.outbox.models import Message
from kaireon.outbox.signatures import is_genuine
from kaireon.tenancy.context import transaction
from tests.alerting.test_notifications import SLACK, TEAMS
from tests.cast import ADA
from tests.outbox.conftest import SECRET, Receiver, deliver, deliver_until_settled, letters, say
from tests.reporting.conftest import NOON, during, give_up, look, made, make, notices, provider, recorded, work
from tests.reporting.test_running import days

pytestmark = pytest.mark.usefixtures("db")

HOSTILE = "<!channel> [here](https://evil.example) *b* 🚨"


def payload_of(message: Any) -> dict[str, Any]:
    with ADA.here(), transaction():
        found = payloads.read(message)
    assert found is not None
    return found


def test_each_provider_hears_of_it_once_in_its_own_form(acme: str, receiver: Receiver, settings: Any) -> None:
    settings.PUBLIC_URL = "https://k.example"
    mails = provider(name="Mail", kind="email", recipients=["desk@acme.example", "dpo@acme.example"])
    hook = provider(name="Hook", to=receiver)
    row = make(name=HOSTILE, channels=[str(mails.pk), str(hook.pk)])
    look(days(1))
    [run] = made()
    work(run)
    assert work(run) is None
    mailed = payload_of(next(one for one in notices() if one.provider.name == "Mail").message_ref)
    deliver()
    link = f"https://k.example/admin/compliance/reportrun/{run.pk}/change/"
    assert (mailed["to"], mailed["subject"]) == (
        ["desk@acme.example", "dpo@acme.example"],
        f"Report ready: {HOSTILE}",
    )
    for said in ("2026-06-01 to 2026-06-01 (UTC)", "CSV", link):
        assert said in mailed["text"]
    [got] = receiver.got
    body = got.data
    assert (body["kind"], body["reportId"], body["scheduleId"]) == ("report_ready", str(run.pk), str(row.pk))
    assert (body["from"], body["to"], body["url"]) == ("2026-06-01", "2026-06-01", link)
    signature, now = got.headers["Kaireon-Signature"], int(clock.now().timestamp())
    assert is_genuine(secret=SECRET.encode(), message_id=got.id, signature=signature, body=got.body, now=now)
    assert [(one.provider.name, one.word, one.state) for one in notices() if one.provider.name == "Hook"] == [
        ("Hook", "ready", "delivered")
    ]
    assert len(recorded("report.tell")) == 2
    assert len(recorded("report.told")) >= 1


def test_chats_take_what_we_send_whatever_the_schedule_is_called() -> None:
    rooms = [
        provider(name=kind, kind=kind, url="https://hooks.slack.com/services/T0/B0/sEcReT")
        for kind in ("slack", "teams")
    ]
    make(name=HOSTILE, channels=[str(room.pk) for room in rooms])
    look(days(1))
    work(made()[0])
    slack, teams = (payload_of(one.message_ref) for one in notices())
    jsonschema.validate(slack, SLACK)
    jsonschema.validate(teams, TEAMS)
    assert "<!channel>" not in json.dumps(slack["text"])
    assert "Report ready" in json.dumps(teams)


def test_a_receiver_that_is_down_is_tried_and_then_noted(acme: str, receiver: Receiver) -> None:
    hook = provider(to=receiver)
    make(channels=[str(hook.pk)])
    look(days(1))
    work(made()[0])
    receiver.always = say(503)
    deliver_until_settled()
    assert [(one.state, one.error) for one in notices()] == [("failed", "http_503")]
    assert [letter.topic for letter in letters()] == ["report.webhook"]
    assert len(recorded("report.not_told")) == 1
    # The report is there all the same.
    assert made()[0].state == "completed"


def test_one_that_is_off_is_noted_and_what_somebody_asked_for_tells_nobody() -> None:
    desk = provider(kind="email", recipients=["desk@acme.example"])
    row = make(channels=[str(desk.pk)])
    with ADA.here(), transaction():
        asked = runs.run_now(row, delivers=False, actor=ADA.actor, now=NOON)
    work(asked.run)
    assert notices() == []
    with ADA.here(), transaction():
        NotificationProvider.objects.filter(pk=desk.pk).update(is_enabled=False)
        asked = runs.run_now(row, delivers=True, actor=ADA.actor, now=NOON)
    work(asked.run)
    assert [(one.word, one.state) for one in notices()] == [("ready", "off")]
    with ADA.here(), transaction():
        assert not Message.objects.exists()


def test_a_failure_is_told_once_with_its_reason_and_without_a_value() -> None:
    desk = provider(kind="email", recipients=["desk@acme.example"])
    make(channels=[str(desk.pk)])
    look(days(1))
    during(ValueError("cust-17"))
    for number in (1, 2):
        look(days(number))
        for run in made():
            if run.state == "queued":
                give_up(run)
    mailed = [payload_of(one.message_ref) for one in notices()]
    assert [letter["subject"] for letter in mailed] == ["Report failed: Daily"] * 2
    assert all("Reason: template_failed" in letter["text"] for letter in mailed)
    assert not any("cust-17" in letter["text"] for letter in mailed)
    assert sorted(str(one.run_id) for one in notices()) == sorted(str(run.pk) for run in made())
