"""/api/v1/alerts and /api/v1/notifications/providers: what is taken, refused and recorded, and never shown."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from compliance.models import AlertRule, NotificationProvider
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.alerting.conftest import FIGURE, SECRET, evaluate, figure, minutes, recorded
from tests.caller import error_of, with_key
from tests.cast import ADA, GLOBEX, MALLORY
from tests.race import at_once

pytestmark = pytest.mark.usefixtures("db")

RULE = {"name": "Too many", "metric": FIGURE, "operator": "gt", "threshold": 10}
HOOK = {"name": "Desk", "kind": "webhook", "url": "https://desk.example/hook?token=tOkEn", "secret": SECRET}
SLACK = {"name": "Room", "kind": "slack", "url": "https://hooks.slack.com/services/T0/B0/sEcReT"}
MAIL = {"name": "Mail", "kind": "email", "recipients": ["desk@acme.example"]}


def post(path: str, body: Any, status: int = 201, who: str = "ada") -> Any:
    answer = with_key(who).post(path, body)
    assert answer.status_code == status, answer.content
    return answer.json() if answer.content else None


def refused(path: str, body: Any, *, method: str = "POST", code: str = "alert_refused") -> str:
    answer = with_key("ada")(method, path, body)
    assert answer.status_code == 400, answer.content
    error = error_of(answer)
    assert error["code"] in (code, "invalid")
    return str(error["message"])


class TestRules:
    def test_one_from_making_to_its_end(self) -> None:
        room = post("/notifications/providers", SLACK)
        made = post("/alerts", {**RULE, "channels": [room["id"]], "severity": "critical", "cooldownSeconds": 60})
        one = f"/alerts/{made['id']}"
        assert (made["state"], made["evaluatedAt"], made["alertOnNoData"]) == ("ok", None, True)
        figure(11)
        evaluate()
        read = with_key("ada").get(one).json()
        assert (read["state"], read["value"], read["alerting"]) == ("firing", 11.0, True)
        assert read["condition"] == "Test figure > 10"
        assert [rule["id"] for rule in with_key("ada").get("/alerts?state=firing").json()["alerts"]] == [made["id"]]
        assert with_key("ada").get("/alerts?severity=info").json()["total"] == 0
        taken = post(f"{one}/acknowledge", None, 200)
        assert taken["acknowledgedBy"]
        assert with_key("ada").post(f"{one}/acknowledge").status_code == 409
        until = clock.rfc3339(clock.now() + timedelta(hours=1))
        silent = post(f"{one}/silence", {"until": until, "reason": "we know"}, 200)
        assert (silent["silencedUntil"], silent["silenceReason"]) == (until, "we know")
        assert post(f"{one}/silence", {"until": None}, 200)["silencedUntil"] is None
        figure(3)
        evaluate(minutes(1))
        history = with_key("ada").get(f"{one}/history").json()
        assert [(c["number"], c["became"], c["value"]) for c in history["changes"]] == [
            (2, "resolved", 3.0),
            (1, "firing", 11.0),
        ]
        assert [n["kind"] for c in history["changes"] for n in c["notifications"]] == ["resolved", "firing"]
        assert with_key("ada").get(one).json()["acknowledgedBy"] is None
        changed = with_key("ada")("PATCH", one, {"threshold": 20, "forSeconds": 120}).json()
        assert (changed["threshold"], changed["forSeconds"], changed["name"]) == (20.0, 120, "Too many")
        assert with_key("ada")("DELETE", one).status_code == 204
        assert with_key("ada").get(one).status_code == 404
        assert with_key("ada").get(f"{one}/history").status_code == 404
        verbs = ["create", "silence", "unsilence", "update", "remove"]
        assert [r.action for r in recorded(*(f"alert_rule.{verb}" for verb in verbs))] == [
            f"alert_rule.{verb}" for verb in verbs
        ]
        [acknowledged] = recorded("alert.acknowledge")
        assert acknowledged.entity_id == made["id"]

    def test_a_metric_that_does_not_exist_is_refused_with_those_that_do(self) -> None:
        message = refused("/alerts", {**RULE, "metric": "dsar_overdew"})
        assert message.startswith("metric: 'dsar_overdew' is no metric; known are ")
        for name in ("dsar_overdue", "audit_chain_intact", "dead_letters", "job_success_age.cleanup"):
            assert name in message
        with ADA.here(), transaction():
            assert not AlertRule.objects.exists()
        [record] = recorded("alert_rule.refused")
        assert record.changes == {"reason": "alert_refused", "field": "metric"}

    @pytest.mark.parametrize(
        ("more", "field"),
        [
            ({"name": ""}, "name"),
            ({"name": " "}, "name"),
            ({"name": "a\nb"}, "name"),
            ({"name": "n" * 101}, "name"),
            ({"name": 7}, "name"),
            ({"operator": ">"}, "operator"),
            ({"threshold": "10"}, "threshold"),
            ({"threshold": True}, "threshold"),
            ({"threshold": 1e13}, "threshold"),
            ({"threshold": 10**400}, "threshold"),
            ({"threshold": None}, "threshold"),
            ({"windowSeconds": 60}, "windowSeconds"),
            ({"metric": "auth_failures"}, "windowSeconds"),
            ({"metric": "auth_failures", "windowSeconds": 59}, "windowSeconds"),
            ({"metric": "auth_failures", "windowSeconds": 604_801}, "windowSeconds"),
            ({"metric": "auth_failures", "windowSeconds": 60.5}, "windowSeconds"),
            ({"metric": "acceptance_rate", "windowSeconds": 86_401}, "windowSeconds"),
            ({"forSeconds": -1}, "forSeconds"),
            ({"forSeconds": 604_801}, "forSeconds"),
            ({"cooldownSeconds": 2**40}, "cooldownSeconds"),
            ({"severity": "fatal"}, "severity"),
            ({"channels": ["desk"]}, "channels"),
            ({"channels": [str(uuid4())]}, "channels"),
            ({"channels": [str(uuid4()) for _ in range(11)]}, "channels"),
            ({"alertOnNoData": "no"}, "alertOnNoData"),
            ({"state": "ok"}, "state"),
        ],
    )
    def test_bad_input_names_its_field_and_makes_nothing(self, more: dict[str, Any], field: str) -> None:
        assert refused("/alerts", {**RULE, **more}).startswith(field)
        made = post("/alerts", RULE)["id"]
        assert refused(f"/alerts/{made}", more, method="PATCH").startswith(field)
        with ADA.here(), transaction():
            assert AlertRule.objects.count() == 1

    @pytest.mark.parametrize("body", [None, [], "x", 7])
    def test_what_is_no_object_is_refused(self, body: Any) -> None:
        assert with_key("ada").post("/alerts", body).status_code == 400

    def test_names_in_any_script_are_kept_as_they_are(self) -> None:
        name = "überfällig · 超过期限 · متأخر 🚨"
        assert post("/alerts", {**RULE, "name": name})["name"] == name

    def test_a_name_is_taken_once_also_by_two_at_once(self) -> None:
        answers = at_once(*[lambda: with_key("ada").post("/alerts", RULE).status_code for _ in range(4)])
        assert sorted(answers) == [201, 400, 400, 400]  # type: ignore[type-var]
        made = with_key("ada").get("/alerts").json()["alerts"][0]["id"]
        with_key("ada")("DELETE", f"/alerts/{made}")
        post("/alerts", RULE)

    def test_the_same_key_makes_one(self) -> None:
        first = with_key("ada").post("/alerts", RULE, idempotency_key="k-1")
        second = with_key("ada").post("/alerts", RULE, idempotency_key="k-1")
        assert first.json()["id"] == second.json()["id"]

    def test_there_is_a_most(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from compliance.alerting import rules

        monkeypatch.setattr(rules, "MOST_RULES", 2)
        for number in range(2):
            post("/alerts", {**RULE, "name": f"Rule {number}"})
        assert "2 rules already" in refused("/alerts", RULE)

    @pytest.mark.parametrize(
        ("until", "reason", "field"),
        [("2020-01-01T00:00:00Z", "x", "until"), ("2999-01-01T00:00:00Z", "x", "until"), ("soon", "x", "until")],
    )
    def test_a_silence_is_bounded(self, until: str, reason: str, field: str) -> None:
        made = post("/alerts", RULE)["id"]
        assert refused(f"/alerts/{made}/silence", {"until": until, "reason": reason}).startswith(field)

    def test_a_silence_wants_a_reason(self) -> None:
        made = post("/alerts", RULE)["id"]
        until = clock.rfc3339(clock.now() + timedelta(minutes=5))
        assert refused(f"/alerts/{made}/silence", {"until": until}).startswith("reason")

    def test_of_two_who_take_an_alert_on_one_has_it(self) -> None:
        made = post("/alerts", RULE)["id"]
        figure(11)
        evaluate()
        path = f"/alerts/{made}/acknowledge"
        answers = at_once(*[lambda: with_key("ada").post(path).status_code for _ in range(3)])
        assert sorted(answers) == [200, 409, 409]  # type: ignore[type-var]
        assert len(recorded("alert.acknowledge")) == 1

    def test_the_metrics_say_what_they_are(self) -> None:
        found = {one["name"]: one for one in with_key("ada").get("/alerts/metrics").json()["metrics"]}
        assert found["auth_failures"]["longestWindowSeconds"] == 604_800
        assert found["dsar_overdue"]["longestWindowSeconds"] is None
        assert all(one["help"] and one["title"] and one["unit"] for one in found.values())


class TestProviders:
    def test_what_is_secret_goes_in_and_never_comes_out(self) -> None:
        for body in (HOOK, SLACK, MAIL):
            post("/notifications/providers", body)
        listed = with_key("ada").get("/notifications/providers")
        assert [one["name"] for one in listed.json()["providers"]] == ["Desk", "Mail", "Room"]
        assert [one["host"] for one in listed.json()["providers"]] == ["desk.example", None, "hooks.slack.com"]
        recorded_text = str([vars(r) for r in recorded("notification_provider.create", "create", "update")])
        for text in (listed.content.decode(), recorded_text):
            for secret in ("sEcReT", "tOkEn", SECRET):
                assert secret not in text
        assert "desk@acme.example" not in recorded_text

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({**HOOK, "secret": "short"}, "secret"),
            ({**HOOK, "secret": None}, "secret"),
            ({k: v for k, v in HOOK.items() if k != "secret"}, "secret"),
            ({**HOOK, "url": "http://desk.example/"}, "url"),
            ({**HOOK, "url": "https://user:pass@desk.example/"}, "url"),
            ({**HOOK, "url": "https://desk.example/ü"}, "url"),
            ({**HOOK, "url": "https://desk.example/" + "a" * 3000}, "url"),
            ({**HOOK, "url": "file:///etc/passwd"}, "url"),
            ({**HOOK, "recipients": ["a@b.example"]}, "recipients"),
            ({**SLACK, "url": ""}, "url"),
            ({**SLACK, "secret": SECRET}, "secret"),
            ({"name": "Room", "kind": "slack"}, "url"),
            ({"name": "Mail", "kind": "email"}, "recipients"),
            ({**MAIL, "recipients": []}, "recipients"),
            ({**MAIL, "recipients": ["nobody"]}, "recipients"),
            ({**MAIL, "recipients": ["a@b.example\nBcc: c@d.example"]}, "recipients"),
            ({**MAIL, "recipients": [f"n{n}@b.example" for n in range(21)]}, "recipients"),
            ({**MAIL, "url": "https://desk.example/"}, "url"),
            ({**MAIL, "kind": "pager"}, "kind"),
            ({**MAIL, "name": "a\tb"}, "name"),
            ({**MAIL, "host": "x"}, "host"),
        ],
    )
    def test_bad_input_names_its_field_and_makes_nothing(self, body: dict[str, Any], field: str) -> None:
        message = refused("/notifications/providers", body, code="provider_refused")
        assert message.startswith(field)
        assert "pass" not in message
        with ADA.here(), transaction():
            assert not NotificationProvider.objects.exists()

    def test_an_address_is_changed_with_its_secret_only(self) -> None:
        made = post("/notifications/providers", HOOK)["id"]
        path = f"/notifications/providers/{made}"
        moved = {"url": "https://evil.example/"}
        assert refused(path, moved, method="PATCH", code="provider_refused").startswith("secret")
        assert with_key("ada")("PATCH", path, {**moved, "secret": SECRET}).json()["host"] == "evil.example"
        assert with_key("ada")("PATCH", path, {"name": "Other", "enabled": False}).json()["enabled"] is False

    def test_one_that_a_rule_names_is_not_removed(self) -> None:
        made = post("/notifications/providers", MAIL)["id"]
        rule = post("/alerts", {**RULE, "channels": [made]})["id"]
        answer = with_key("ada")("DELETE", f"/notifications/providers/{made}")
        assert (answer.status_code, error_of(answer)["code"]) == (409, "provider_in_use")
        assert "Too many" in error_of(answer)["message"]
        with_key("ada")("PATCH", f"/alerts/{rule}", {"channels": []})
        assert with_key("ada")("DELETE", f"/notifications/providers/{made}").status_code == 204
        assert with_key("ada").get("/notifications/providers").json()["total"] == 0
        post("/notifications/providers", MAIL)

    def test_a_rule_and_the_removal_of_its_provider_at_once_agree(self) -> None:
        made = post("/notifications/providers", MAIL)["id"]
        rule, removal = at_once(
            lambda: with_key("ada").post("/alerts", {**RULE, "channels": [made]}).status_code,
            lambda: with_key("ada")("DELETE", f"/notifications/providers/{made}").status_code,
        )
        assert (rule, removal) in ((201, 409), (400, 204))

    def test_a_test_is_queued_and_limited(self) -> None:
        made = post("/notifications/providers", HOOK)["id"]
        path = f"/notifications/providers/{made}/test"
        assert post(path, None, 202)["state"] == "waiting"
        assert with_key("ada").get(f"/notifications/providers/{made}").json()["last"]["kind"] == "test"
        statuses = [with_key("ada").post(path).status_code for _ in range(10)]
        assert statuses == [202] * 9 + [429]
        assert len(recorded("notification_provider.test")) == 10


def test_another_tenants_provider_is_no_channel() -> None:
    theirs = post("/notifications/providers", MAIL, who="mallory")["id"]
    assert refused("/alerts", {**RULE, "channels": [theirs]}).startswith("channels")
    assert MALLORY.tenant_id == GLOBEX
