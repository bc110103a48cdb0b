"""Alert rules and notification providers in the admin: shown, made, changed, tested, taken on, by those who may."""

import html
import re
from typing import Any

import pytest

from compliance.alerting import metrics, notifications
from compliance.models import AlertRule, NotificationProvider
from kaireon.outbox.models import Message
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.alerting.conftest import _figure, course, evaluate, figure, make, minutes, provider, recorded  # noqa: F401
from tests.cast import ADA, AUD, ED, MALLORY, VI

RULES = "/admin/compliance/alertrule/"
PROVIDERS = "/admin/compliance/notificationprovider/"
GIVEN = {
    "name": "Too many",
    "metric": "test_figure",
    "operator": "gt",
    "threshold": "10",
    "forSeconds": "1",
    "cooldownSeconds": "0",
    "severity": "critical",
    "alertOnNoData": "on",
    "enabled": "on",
}


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.content
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())))


def only(model: Any) -> Any:
    with ADA.here(), transaction():
        return model.objects.get()


def test_a_rule_is_made_changed_silenced_and_removed(sign_in: SignIn) -> None:
    ada = sign_in(ADA)
    desk = provider()
    assert ada.post(f"{RULES}new/", {**GIVEN, "channels": [str(desk.pk)]}).status_code == 302
    rule = only(AlertRule)
    assert (rule.lasting_seconds, rule.severity, rule.channels, rule.threshold) == (60, "critical", [str(desk.pk)], 10)
    page = text_of(ada.get(f"{RULES}{rule.pk}/change/"))
    for said in ("Too many", "Test figure > 10, for 1 min", "not evaluated yet", "Desk (Webhook)", "Nothing yet"):
        assert said in page, said
    assert ada.post(f"{RULES}{rule.pk}/alter/", {**GIVEN, "threshold": "12.5", "forSeconds": "0"}).status_code == 302
    assert (only(AlertRule).threshold, only(AlertRule).channels) == (12.5, [])
    assert ada.post(f"{RULES}{rule.pk}/alter/", {**GIVEN, "threshold": "0.0045"}).status_code == 302
    # Who changes something else saves the limit as it was.
    assert 'value="0.0045"' in ada.get(f"{RULES}{rule.pk}/alter/").content.decode()
    assert ada.post(f"{RULES}{rule.pk}/silence/", {"until": "4", "reason": "we know"}).status_code == 302
    assert "we know" in text_of(ada.get(f"{RULES}{rule.pk}/change/"))
    assert ada.post(f"{RULES}{rule.pk}/speak/").status_code == 302
    assert only(AlertRule).silenced_until is None
    assert ada.post(f"{RULES}{rule.pk}/remove/").status_code == 302
    assert ada.get(f"{RULES}{rule.pk}/change/").status_code != 200
    assert "Too many" not in text_of(ada.get(RULES)).replace("Too many attempts", "")


def test_what_fires_is_on_the_list_and_at_home_until_it_ends(sign_in: SignIn) -> None:
    rule = make(name="<b>Über & 超</b>", severity="critical")
    figure(11)
    evaluate()
    ada = sign_in(ADA)
    for page in ("/admin/", RULES, f"{RULES}{rule.pk}/change/"):
        shown = ada.get(page).content.decode()
        assert "&lt;b&gt;Über &amp; 超&lt;/b&gt;" in shown, page
        assert "<b>Über" not in shown, page
    assert "Firing: <b>Über & 超</b>" in html.unescape(ada.get("/admin/").content.decode())
    assert ada.post(f"{RULES}{rule.pk}/acknowledge/").status_code == 302
    assert "Firing: <b>" not in html.unescape(ada.get("/admin/").content.decode())
    assert "Taken on by" in text_of(ada.get(f"{RULES}{rule.pk}/change/"))
    assert "taken on by Ada" in text_of(ada.get("/admin/"))
    figure(3)
    evaluate(minutes(1))
    page = text_of(ada.get(f"{RULES}{rule.pk}/change/"))
    assert "Resolved from firing 3 10" in page
    assert "Firing from ok 11 10" in page
    assert "Nothing alerts." in text_of(ada.get("/admin/"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"name": ""}, "This field is required"),
        ({"metric": "dsar_overdew"}, "not one of the available choices"),
        ({"threshold": "many"}, "Enter a number"),
        ({"threshold": "1e300"}, "Is a number from"),
        ({"threshold": "nan"}, "Enter a number"),
        ({"windowSeconds": "5"}, "takes no window"),
        ({"metric": "auth_failures"}, "is counted over 60 to 604800 seconds"),
        ({"forSeconds": "-1"}, "greater than or equal to 0"),
        ({"forSeconds": "20000"}, "Is 0 to 604800 seconds"),
        ({"channels": ["00000000-0000-0000-0000-000000000000"]}, "not one of the available choices"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_made(
    sign_in: SignIn, more: dict[str, Any], said: str
) -> None:
    assert said in text_of(sign_in(ADA).post(f"{RULES}new/", {**GIVEN, **more}))
    with ADA.here(), transaction():
        assert not AlertRule.objects.exists()


def test_what_is_refused_is_recorded_by_its_fact_and_field(sign_in: SignIn) -> None:
    ada = sign_in(ADA)
    rule, other, desk = make(), make(name="Other"), provider()
    assert "Is taken by another rule" in text_of(ada.post(f"{RULES}new/", {**GIVEN, "name": rule.name}))
    text_of(ada.post(f"{RULES}{other.pk}/alter/", {**GIVEN, "name": "Other", "windowSeconds": "5"}))
    assert "No alert of this rule is open" in text_of(ada.post(f"{RULES}{rule.pk}/acknowledge/"))
    with ADA.here(), transaction():
        AlertRule.objects.filter(pk=rule.pk).update(channels=[str(desk.pk)])
    assert "ake it out of these rules first" in text_of(ada.post(f"{PROVIDERS}{desk.pk}/remove/"))
    given = {"kind": "slack", "name": "Room", "url": "http://sEcReT.example/", "enabled": "on"}
    text_of(ada.post(f"{PROVIDERS}new/", given))
    # A slip of the pen, and a page that is looked at, are no refusals.
    text_of(ada.post(f"{RULES}new/", {**GIVEN, "threshold": "many"}))
    text_of(ada.get(f"{RULES}{rule.pk}/acknowledge/"))
    found = recorded("alert_rule.refused", "notification_provider.refused")
    assert [(r.action.split(".")[0], r.entity_type, r.entity_id, r.changes) for r in found] == [
        ("alert_rule", "AlertRule", "", {"reason": "alert_refused", "field": "name"}),
        ("alert_rule", "AlertRule", str(other.pk), {"reason": "alert_refused", "field": "windowSeconds"}),
        ("alert_rule", "AlertRule", str(rule.pk), {"reason": "not_alerting"}),
        ("notification_provider", "NotificationProvider", str(desk.pk), {"reason": "provider_in_use"}),
        ("notification_provider", "NotificationProvider", "", {"reason": "provider_refused", "field": "url"}),
    ]
    assert {(r.user_id, bool(r.request_id)) for r in found} == {(ADA.actor.id, True)}
    assert "sEcReT" not in str([r.changes for r in found])


def test_providers_are_made_tested_changed_and_removed_and_show_no_secret(sign_in: SignIn) -> None:
    ada = sign_in(ADA)
    given = {"kind": "slack", "name": "Room", "url": "https://hooks.slack.com/services/T0/B0/sEcReT", "enabled": "on"}
    assert ada.post(f"{PROVIDERS}new/", given).status_code == 302
    room = only(NotificationProvider)
    assert ada.post(f"{PROVIDERS}{room.pk}/test/").status_code == 302
    with ADA.here(), transaction():
        message = Message.objects.get()
        notifications.settled(message.pk, delivered=False, error="http_404", now=message.created_at)
    for page in (
        PROVIDERS,
        f"{PROVIDERS}{room.pk}/change/",
        f"{PROVIDERS}{room.pk}/alter/",
        "/admin/outbox/destination/",
    ):
        shown = ada.get(page).content.decode()
        assert "sEcReT" not in shown, page
    assert "Failed (http_404)" in text_of(ada.get(f"{PROVIDERS}{room.pk}/change/"))
    assert "hooks.slack.com" in text_of(ada.get(PROVIDERS))
    assert ada.post(f"{PROVIDERS}{room.pk}/alter/", {"name": "Other room", "url": ""}).status_code == 302
    assert (only(NotificationProvider).name, only(NotificationProvider).is_enabled) == ("Other room", False)
    rule = make(channels=[str(room.pk)])
    assert "Too many: take it out of these rules first" in text_of(ada.post(f"{PROVIDERS}{room.pk}/remove/"))
    assert ada.post(f"{RULES}{rule.pk}/remove/").status_code == 302
    assert ada.post(f"{PROVIDERS}{room.pk}/remove/").status_code == 302
    assert ada.get(f"{PROVIDERS}{room.pk}/change/").status_code != 200
    assert [record.action for record in recorded("notification_provider.test", "notification_provider.remove")] == [
        "notification_provider.test",
        "notification_provider.remove",
    ]


def test_mail_takes_an_address_a_line(sign_in: SignIn) -> None:
    ada = sign_in(ADA)
    given = {"kind": "email", "name": "Mail", "recipients": "a@acme.example\r\n\r\n b@acme.example ", "enabled": "on"}
    assert ada.post(f"{PROVIDERS}new/", given).status_code == 302
    assert only(NotificationProvider).recipients == ["a@acme.example", "b@acme.example"]
    bad = ada.post(f"{PROVIDERS}new/", {**given, "name": "Two", "recipients": "nobody"})
    assert "no e-mail address" in text_of(bad)


@pytest.mark.parametrize("person", [ED, AUD, VI, MALLORY], ids=str)
def test_nobody_else_sees_or_does_anything(sign_in: SignIn, person: Any) -> None:
    desk = provider()
    rule = make(channels=[str(desk.pk)])
    figure(11)
    evaluate()
    client = sign_in(person)
    verbs = [(RULES, rule.pk, verb) for verb in ("alter", "silence", "speak", "acknowledge", "remove")]
    verbs += [(PROVIDERS, desk.pk, verb) for verb in ("alter", "test", "remove")]
    for base, key, verb in verbs:
        assert client.post(f"{base}{key}/{verb}/", GIVEN).status_code in (403, 404), verb
    assert "Too many" not in client.get("/admin/").content.decode()
    if person is not MALLORY:
        assert client.get(RULES).status_code == 403
        assert client.post(f"{RULES}new/", GIVEN).status_code == 403
    assert (course(rule), only(AlertRule).removed_at) == (["firing"], None)


def test_a_figure_that_the_product_no_longer_has_is_no_data_and_shown_by_its_name(
    sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = make()
    monkeypatch.delitem(metrics.METRICS, "test_figure")
    assert evaluate().errors == ("test_figure: UnknownMetric",)
    assert "test_figure > 10" in text_of(sign_in(ADA).get(f"{RULES}{rule.pk}/change/"))
    assert course(rule) == ["no_data"]
