"""GET and POST /api/v1/admin/retention-configs."""

import json

import pytest
from rest_framework.test import APIClient

from compliance.holding import holds
from compliance.models import HoldEpoch, RetentionPolicy
from compliance.retention import binding
from kaireon.tenancy.context import transaction
from tests.cast import KEYS
from tests.compliance.rows import ADA, MALLORY, NOW, count, policy

URL = "/api/v1/admin/retention-configs"


@pytest.fixture
def client_of(db):
    def make(nick):
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {KEYS[nick]}")
        return client

    return make


def log(action):
    from audit import services
    from audit.models import AuditRecord

    services.drain("acme")
    with ADA.here(), transaction():
        return list(AuditRecord.objects.filter(action=action))


def test_it_upserts_and_lists(client_of):
    ada = client_of("ada")
    assert ada.get(URL).json() == []
    made = ada.post(URL, {"dataClass": "interactions", "retentionDays": 365}, format="json")
    assert made.status_code == 200
    row = made.json()
    assert row == {
        "id": row["id"],
        "dataClass": "interactions",
        "retentionDays": 365,
        "legalHold": False,
        "holdReason": "",
        "heldSince": None,
        "version": 1,
        "updatedBy": row["updatedBy"],
        "createdAt": row["createdAt"],
        "updatedAt": row["updatedAt"],
        "mode": "normal",
        "effectiveDays": 365,
        "floor": None,
        "anchor": "clock",
        "reason": "",
        "pendingDays": None,
        "pendingAnchor": None,
        "pendingFrom": None,
    }
    again = ada.post(URL, {"dataClass": "interactions", "retentionDays": 730, "legalHold": True}, format="json").json()
    assert (again["id"], again["retentionDays"], again["legalHold"], again["version"]) == (row["id"], 730, True, 2)
    assert ada.get(URL).json() == [again]


def test_a_hold_stays_until_it_is_released_by_name(client_of):
    ada = client_of("ada")
    body = {"dataClass": "decisions", "retentionDays": 90, "legalHold": True, "holdReason": "Case 7"}
    assert ada.post(URL, body, format="json").json()["holdReason"] == "Case 7"
    kept = ada.post(URL, {"dataClass": "decisions", "retentionDays": 91}, format="json").json()
    assert (kept["legalHold"], kept["holdReason"]) == (True, "Case 7")
    released = ada.post(URL, {"dataClass": "decisions", "retentionDays": 91, "legalHold": False}, format="json").json()
    assert (released["legalHold"], released["holdReason"], released["heldSince"]) == (False, "", None)


def test_it_records_what_was_done_by_its_verb(client_of):
    ada = client_of("ada")
    for body in (
        {"dataClass": "decisions", "retentionDays": 90},
        {"dataClass": "decisions", "retentionDays": 90, "legalHold": True},
        {"dataClass": "decisions", "retentionDays": 95},
        {"dataClass": "decisions", "retentionDays": 95, "legalHold": False},
    ):
        assert ada.post(URL, body, format="json").status_code == 200
    assert len(log("retention_config.upsert")) == 2
    placed, released = log("retention_config.legal_hold")
    assert placed.after["legal_hold"] is True
    assert released.after["legal_hold"] is False
    assert placed.entity_name == "decisions"
    assert "RetentionPolicy" not in {record.entity_type for record in log("update") + log("create")}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        *(({"dataClass": "metrics", "retentionDays": days}, "retentionDays") for days in (0, -1, 36501, 10**30)),
        *(({"dataClass": "metrics", "retentionDays": days}, "retentionDays") for days in ("x", "365", True, 1.5, None)),
        ({"dataClass": "metrics"}, "retentionDays"),
        ({"retentionDays": 1}, "dataClass"),
        ({"dataClass": 5, "retentionDays": 1}, "dataClass"),
        ({"dataClass": "nonsense", "retentionDays": 1}, "dataClass"),
        ({"dataClass": "metrics", "retentionDays": 1, "legalHold": "yes"}, "legalHold"),
        ({"dataClass": "metrics", "retentionDays": 1, "legalHold": 1}, "legalHold"),
        ({"dataClass": "metrics", "retentionDays": 1, "legalHold": None}, "legalHold"),
        ({"dataClass": "metrics", "retentionDays": 1, "tenantId": "globex"}, "tenantId"),
    ],
)
def test_it_names_the_field_that_is_wrong(client_of, body, field):
    answer = client_of("ada").post(URL, json.dumps(body), content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(f"{field}: ")
    assert count(RetentionPolicy) == 0


def test_an_unknown_class_lists_the_known_ones(client_of):
    answer = client_of("ada").post(URL, {"dataClass": "nonsense", "retentionDays": 1}, format="json")
    for known in ("interactions", "decisions", "metrics", "audit", "consents"):
        assert known in answer.json()["error"]["message"]


@pytest.mark.parametrize("days", [1, 36500])
def test_the_ends_of_the_range_are_in_it(client_of, days):
    answer = client_of("ada").post(URL, {"dataClass": "audit", "retentionDays": days}, format="json")
    assert answer.json()["retentionDays"] == days


@pytest.mark.parametrize("nick", ["ed", "aud", "vi"])
def test_it_is_for_admins(client_of, nick):
    assert client_of(nick).get(URL).status_code == 403
    assert client_of(nick).post(URL, {"dataClass": "audit", "retentionDays": 1}, format="json").status_code == 403


def test_it_refuses_the_unauthenticated(db):
    assert APIClient().get(URL).status_code == 401
    assert APIClient().post(URL, {}, format="json").status_code == 401


def test_another_tenant_sees_and_changes_nothing_of_it(client_of):
    policy("metrics", 30)
    mallory = client_of("mallory")
    assert mallory.get(URL).json() == []
    assert mallory.post(URL, {"dataClass": "metrics", "retentionDays": 1}, format="json").status_code == 200
    with ADA.here(), transaction():
        assert RetentionPolicy.objects.get().retention_days == 30


def epoch(who=ADA):
    with who.here(), transaction():
        return HoldEpoch.objects.get().epoch


def test_whatever_may_keep_rows_longer_moves_the_epoch_of_its_tenant_alone(db):
    other = epoch(MALLORY)

    def law(*, on):
        with ADA.here(), transaction():
            binding.switch(name="dpdp-2025", on=on, actor=ADA.actor, now=NOW)

    changes = [
        lambda: policy("metrics", 30),
        lambda: policy("metrics", 31),
        lambda: policy("metrics", 31, hold=True),
        lambda: policy("metrics", 31, hold=False),
        lambda: law(on=True),
        lambda: law(on=False),
    ]
    for change in changes:
        before = epoch()
        change()
        assert epoch() == before + 1
    policy("metrics", 31)
    assert (epoch(), epoch(MALLORY)) == (before + 1, other)


def test_a_hold_on_a_class_without_a_policy_keeps_as_long_as_can_be(db):
    with ADA.here(), transaction():
        placed = holds.place_hold(data_class="metrics", reason="Case 7", actor=ADA.actor, now=NOW)
        assert (placed.retention_days, placed.legal_hold, placed.held_since) == (36500, True, NOW)
        assert holds.held_classes() == {"metrics"}
        with pytest.raises(holds.HoldAlreadyPlaced):
            holds.place_hold(data_class="metrics", reason="again", actor=ADA.actor, now=NOW)


def test_a_hold_is_released_once(db):
    policy("metrics", 30, hold=True)
    with ADA.here(), transaction():
        holds.release_hold(data_class="metrics", actor=ADA.actor, now=NOW)
        assert holds.held_classes() == frozenset()
        with pytest.raises(holds.HoldAlreadyReleased):
            holds.release_hold(data_class="metrics", actor=ADA.actor, now=NOW)
    assert len(log("retention_config.legal_hold")) == 2
