"""Telling people: in the vendors' forms, to receivers that behave well and badly; said once, silenced, tried."""

import json
from typing import Any

import jsonschema
import pytest

from compliance.alerting import messages, notifications, providers, rules
from compliance.alerting.messages import Said
from compliance.models import AlertNotification, NotificationProvider
from kaireon.lib import clock
from kaireon.outbox.models import Destination
from kaireon.outbox.signatures import is_genuine
from kaireon.tenancy.context import transaction
from tests.alerting.conftest import (
    NOON,
    again,
    course,
    evaluate,
    figure,
    make,
    minutes,
    notices,
    provider,
)
from tests.cast import ADA
from tests.outbox.conftest import SECRET, Receiver, deliver, deliver_until_settled, letters, say

HOSTILE = "<!channel> & <https://evil.example|pay> [here](https://evil.example) *b* 🚨"

# The parts of the vendors' published forms that a message of ours uses.
SLACK_TEXT = {
    "type": "object",
    "properties": {
        "type": {"enum": ["plain_text", "mrkdwn"]},
        "text": {"type": "string", "minLength": 1, "maxLength": 2000},
        "emoji": {"type": "boolean"},
    },
    "required": ["type", "text"],
    "additionalProperties": False,
}
SLACK = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "minLength": 1, "maxLength": 4000},
        "blocks": {
            "type": "array",
            "maxItems": 50,
            "items": {
                "oneOf": [
                    {
                        "properties": {
                            "type": {"const": "header"},
                            "text": {
                                "allOf": [SLACK_TEXT],
                                "properties": {"type": {"const": "plain_text"}, "text": {"maxLength": 150}},
                            },
                        },
                        "required": ["type", "text"],
                        "additionalProperties": False,
                    },
                    {
                        "properties": {
                            "type": {"const": "section"},
                            "fields": {"type": "array", "minItems": 1, "maxItems": 10, "items": SLACK_TEXT},
                        },
                        "required": ["type", "fields"],
                        "additionalProperties": False,
                    },
                    {
                        "properties": {
                            "type": {"const": "context"},
                            "elements": {"type": "array", "minItems": 1, "maxItems": 10, "items": SLACK_TEXT},
                        },
                        "required": ["type", "elements"],
                        "additionalProperties": False,
                    },
                ]
            },
        },
    },
    "required": ["text", "blocks"],
    "additionalProperties": False,
}
TEAMS = {
    "type": "object",
    "properties": {
        "type": {"const": "message"},
        "attachments": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "contentType": {"const": "application/vnd.microsoft.card.adaptive"},
                    "contentUrl": {"const": None},
                    "content": {
                        "type": "object",
                        "properties": {
                            "type": {"const": "AdaptiveCard"},
                            "version": {"const": "1.2"},
                            "body": {"type": "array", "minItems": 1},
                        },
                        "required": ["$schema", "type", "version", "body"],
                    },
                },
                "required": ["contentType", "content"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["type", "attachments"],
    "additionalProperties": False,
}
TEAMS_MOST = 28 * 1024


def said(**more: Any) -> Said:
    given = {
        "word": "firing",
        "tenant": "Acme",
        "at": NOON,
        "url": "https://k.example/admin/x",
        "rule": HOSTILE,
        "severity": "critical",
        "title": "Overdue requests",
        "condition": "Overdue requests > 0",
        "value": "3",
    }
    return Said(**{**given, **more})


@pytest.mark.parametrize("word", ["firing", "no_data", "resolved", "test"])
def test_slack_gets_what_slack_takes_and_nothing_in_a_name_is_markup(word: str) -> None:
    payload = messages.slack(said(word=word, rule=HOSTILE * 3), ())
    jsonschema.validate(payload, SLACK)
    assert "<!channel>" not in payload["text"]
    fields = json.dumps(payload["blocks"][1])
    assert "<" not in fields


@pytest.mark.parametrize("word", ["firing", "no_data", "resolved", "test"])
def test_teams_gets_a_card_and_a_name_is_plain_text_there(word: str) -> None:
    payload = messages.teams(said(word=word, rule="𝔘" * 100, tenant=HOSTILE), ())
    jsonschema.validate(payload, TEAMS)
    assert len(json.dumps(payload).encode()) < TEAMS_MOST
    title, facts = payload["attachments"][0]["content"]["body"]
    assert title["inlines"][0]["type"] == "TextRun"
    assert all("[here](" not in fact["value"] for fact in facts["facts"])


def test_a_mail_has_a_subject_of_one_line_that_fits() -> None:
    payload = messages.mail(said(rule="n" * 300), ["desk@acme.example"])
    assert len(payload["subject"]) <= 200
    assert "\n" not in payload["subject"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "count", "no data"),
        (0.0, "count", "0"),
        (1234567.0, "count", "1,234,567"),
        (12.5, "percent", "12.5 %"),
        (99.999, "percent", "100 %"),
        (1.0, "truth", "yes"),
        (0.0, "truth", "no"),
        (-2.0, "days", "-2 days"),
        (0.25, "hours", "0.25 h"),
    ],
)
def test_figures_in_words(value: float | None, unit: str, text: str) -> None:
    assert messages.shown(value, unit) == text


def tell_of(rule: Any, at: int) -> None:
    evaluate(minutes(at))
    deliver()


class TestReceivers:
    def test_a_webhook_is_signed_and_says_what_happened_in_order(self, acme: str, receiver: Receiver) -> None:
        rule = make(channels=[str(provider(to=receiver).pk)], cooldown_seconds=60, severity="critical")
        for minute, value in enumerate((11, 12, 3, 3)):
            figure(value)
            tell_of(rule, minute)
        firing, resolved = receiver.got
        assert [got.data["kind"] for got in receiver.got] == ["firing", "resolved"]
        assert firing.data | {"changeId": ""} == {
            "kind": "firing",
            "ruleId": str(rule.pk),
            "changeId": "",
            "rule": "Too many",
            "severity": "critical",
            "metric": "test_figure",
            "operator": "gt",
            "threshold": 10,
            "value": 11,
            "unit": "count",
            "windowSeconds": None,
            "reason": "evaluated",
            "tenantName": "Acme",
            "at": clock.rfc3339(NOON),
            "url": None,
        }
        assert resolved.data["value"] == 3
        signature = firing.headers["Kaireon-Signature"]
        now = int(clock.now().timestamp())
        genuine = {"message_id": firing.id, "signature": signature, "body": firing.body, "now": now}
        assert is_genuine(secret=SECRET.encode(), **genuine)
        assert [(one.word, one.state) for one in notices()] == [("firing", "delivered"), ("resolved", "delivered")]

    @pytest.mark.parametrize(("kind", "form"), [("slack", SLACK), ("teams", TEAMS)])
    def test_a_channel_gets_its_vendors_form_at_an_address_that_nobody_sees(
        self, acme: str, receiver: Receiver, kind: str, form: dict[str, Any]
    ) -> None:
        receiver.always = say(200, b"ok")
        receiver.url += "/services/T0/B0/sEcReT"
        row = provider(to=receiver, kind=kind)
        make(name=HOSTILE, channels=[str(row.pk)])
        figure(11)
        evaluate()
        deliver()
        [got] = receiver.got
        assert got.path.endswith("/services/T0/B0/sEcReT")
        assert "Kaireon-Signature" not in got.headers
        jsonschema.validate(json.loads(got.body), form)
        with transaction():
            where = Destination.objects.get(pk=row.destination_ref)
            assert "sEcReT" not in str(where.settings)
            assert b"sEcReT" not in bytes(where.secret_sealed or b"")
            assert "sEcReT" not in str(vars(NotificationProvider.objects.get(pk=row.pk)))

    def test_a_receiver_that_fails_for_a_while_is_told_in_the_end(self, acme: str, receiver: Receiver) -> None:
        receiver.answers = [say(503), say(429)]
        make(channels=[str(provider(to=receiver).pk)])
        figure(11)
        evaluate()
        deliver_until_settled()
        assert len(receiver.got) == 3
        assert len({got.id for got in receiver.got}) == 1
        assert [one.state for one in notices()] == ["delivered"]

    @pytest.mark.parametrize("status", [400, 403, 404, 410, 503])
    def test_one_that_refuses_is_a_dead_letter_that_the_history_tells_of(
        self, acme: str, receiver: Receiver, status: int
    ) -> None:
        receiver.always = say(status, b"no_service")
        make(channels=[str(provider(to=receiver, kind="slack").pk)])
        figure(11)
        evaluate()
        deliver_until_settled()
        [one] = notices()
        assert (one.state, one.error) == ("failed", f"http_{status}")
        assert [letter.topic for letter in letters()] == ["alert.slack"]

    def test_an_address_inside_is_not_reached(self, acme: str, receiver: Receiver, settings: Any) -> None:
        row = provider(to=receiver)
        settings.ALLOW_PRIVATE_DESTINATIONS = False
        with transaction():
            notifications.test(row, now=NOON)
        deliver_until_settled()
        assert receiver.got == []
        assert [one.error for one in notices()] == ["address_refused"]

    def test_a_test_says_that_it_is_one_also_when_the_provider_is_off(self, acme: str, receiver: Receiver) -> None:
        row = provider(to=receiver, enabled=False)
        with transaction():
            notifications.test(row, now=NOON)
        deliver()
        assert receiver.got[0].data == {"kind": "test", "tenantName": "Acme", "at": clock.rfc3339(NOON)}
        assert [(one.word, one.state) for one in notices()] == [("test", "delivered")]

    def test_what_waits_for_a_provider_that_is_removed_arrives_nowhere(self, acme: str, receiver: Receiver) -> None:
        row = provider(to=receiver)
        with transaction():
            notifications.test(row, now=NOON)
            providers.remove(row.pk, now=NOON)
        deliver_until_settled()
        assert receiver.got == []
        assert [one.state for one in notices()] == ["failed"]


@pytest.mark.usefixtures("db")
class TestWhatIsSaid:
    def words(self) -> list[str]:
        return [one.word for one in notices()]

    def watch(self, **more: Any) -> Any:
        return make(channels=[str(provider().pk)], **more)

    def course(self, *values: Any, begin: int = 0) -> None:
        for minute, value in enumerate(values, start=begin):
            figure(value)
            evaluate(minutes(minute))

    def test_each_thing_once(self) -> None:
        self.watch(lasting_seconds=60)
        self.course(11, 11, 11, None, 11, 3, 3, 11, 3)
        assert self.words() == ["firing", "resolved"]

    def test_no_data_and_its_end(self) -> None:
        self.watch()
        self.course(None, None, 3, 3)
        assert self.words() == ["no_data", "resolved"]

    def test_no_data_is_not_said_where_nobody_wants_to_hear_of_it(self) -> None:
        rule = self.watch(alerts_without_data=False)
        self.course(None, 3)
        assert self.words() == []
        assert course(rule) == ["no_data", "ok"]

    def test_silence_keeps_quiet_and_then_says_what_is_still_true(self) -> None:
        rule = self.watch()
        with ADA.here(), transaction():
            rules.silence(rule.pk, until=minutes(3), reason="maintenance", now=NOON)
        self.course(11, 11, 11)
        assert (self.words(), again(rule).state) == ([], "firing")
        self.course(11, 11, begin=3)
        assert self.words() == ["firing"]

    def test_what_began_and_ended_in_silence_is_never_said(self) -> None:
        rule = self.watch()
        with ADA.here(), transaction():
            rules.silence(rule.pk, until=minutes(3), reason="maintenance", now=NOON)
        self.course(11, 11, 3, 3, 3)
        assert self.words() == []
        assert course(rule) == ["firing", "resolved", "ok"]

    def test_an_end_in_silence_is_said_when_that_is_over(self) -> None:
        rule = self.watch()
        self.course(11)
        with ADA.here(), transaction():
            rules.silence(rule.pk, until=minutes(3), reason="maintenance", now=NOON)
        self.course(3, 3, begin=1)
        assert self.words() == ["firing"]
        self.course(3, begin=3)
        assert self.words() == ["firing", "resolved"]

    @pytest.mark.parametrize("end", ["off", "remove"])
    def test_who_was_told_hears_that_a_rule_is_gone(self, end: str) -> None:
        rule = self.watch()
        self.course(11)
        with ADA.here(), transaction():
            if end == "off":
                rules.change(rule.pk, given={"is_enabled": False}, now=minutes(1))
            else:
                rules.remove(rule.pk, now=minutes(1))
        assert self.words() == ["firing", "resolved"]
        assert evaluate(minutes(2)).rules == 0

    def test_a_provider_that_is_off_is_noted_and_not_told(self) -> None:
        row = provider(enabled=False)
        make(channels=[str(row.pk)])
        self.course(11)
        assert [(one.state, one.message_ref) for one in notices()] == [("off", None)]

    def test_mail_goes_to_its_recipients_and_names_no_customer(self) -> None:
        row = provider(kind="email", recipients=["desk@acme.example", "night@acme.example"])
        make(channels=[str(row.pk)])
        self.course(11)
        from kaireon.outbox import payloads

        with ADA.here(), transaction():
            [one] = AlertNotification.objects.all()
            payload = payloads.read(one.message_ref)
        assert payload is not None
        assert payload["to"] == ["desk@acme.example", "night@acme.example"]
        assert payload["subject"] == "[warning] Firing: Too many"

    def test_the_page_of_the_rule_is_linked_where_the_installation_has_an_address(self, settings: Any) -> None:
        settings.PUBLIC_URL = "https://kaireon.example"
        rule = self.watch()
        self.course(11)
        from kaireon.outbox import payloads

        with ADA.here(), transaction():
            payload = payloads.read(AlertNotification.objects.get().message_ref)
        assert payload is not None
        assert payload["url"] == f"https://kaireon.example/admin/compliance/alertrule/{rule.pk}/change/"
