"""`legalHold: false` at once, or by two people where the tenant demands a second one."""

import pytest
from django.test import Client

from compliance.holding import class_releases, holds
from compliance.models import RetentionPolicy
from compliance.retention import policies
from compliance.retention.policies import RELEASE_VERB
from kaireon.approvals import services as approvals
from kaireon.approvals.models import ApprovalRequest
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.caller import with_key
from tests.cast import ADA, PASSWORD
from tests.compliance.holders import BEA, agree, join
from tests.compliance.rows import NOW, policy

URL = "/admin/retention-configs"
FREE = {"dataClass": "metrics", "retentionDays": 30, "legalHold": False}


@pytest.fixture
def demanded(db):
    """A tenant that demands a second person, and holds the metrics; Bea is that person."""
    join(BEA, "Bea")
    policy("metrics", 30, hold=True)
    with ADA.here(), transaction():
        assert approvals.demand_second_person(RELEASE_VERB, demanded=True, now=NOW)


def row():
    with ADA.here(), transaction():
        return RetentionPolicy.objects.get()


def test_it_is_released_at_once_where_nobody_demands_otherwise(db):
    policy("metrics", 30, hold=True)
    answer = with_key("ada").post(URL, FREE)
    assert (answer.status_code, answer.json()["legalHold"]) == (200, False)


def test_it_waits_for_a_second_person_where_the_tenant_demands_one(demanded):
    answer = with_key("ada").post(URL, {**FREE, "retentionDays": 40})
    assert answer.status_code == 202
    body = answer.json()
    assert body["approval"]["verb"] == RELEASE_VERB
    # What was decided besides counts.
    assert (body["policy"]["legalHold"], body["policy"]["retentionDays"]) == (True, 40)
    # Who asks again, gets the request that waits.
    assert with_key("ada").post(URL, FREE | {"retentionDays": 40}).json()["approval"]["id"] == body["approval"]["id"]
    agree(body["approval"]["id"])
    assert (row().legal_hold, row().retention_days) == (False, 40)
    # Nothing is held now: nobody is to be asked.
    assert with_key("ada").post(URL, FREE | {"retentionDays": 41}).status_code == 200


def test_no_service_releases_it_alone(demanded):
    for alone in (
        lambda: holds.release_hold(data_class="metrics", actor=ADA.actor, now=NOW),
        lambda: policies.upsert_policy(
            data_class="metrics", retention_days=None, legal_hold=False, actor=ADA.actor, now=NOW
        ),
    ):
        with pytest.raises(policies.ReleaseNeedsSecondPerson), ADA.here(), transaction():
            alone()
    assert row().legal_hold


def test_a_yes_ends_the_hold_it_was_asked_for_and_no_later_one(demanded):
    with ADA.here(), transaction():
        asked = class_releases.ask(data_class="metrics", actor=ADA.actor, now=clock.now())
        holds.release_hold(data_class="metrics", actor=ADA.actor, now=NOW, agreed=True)
    with ADA.here(), transaction():
        holds.place_hold(data_class="metrics", reason="Case 8", actor=ADA.actor, now=clock.now())
    agree(asked.pk)
    assert row().legal_hold
    with ADA.here(), transaction():
        failed = ApprovalRequest.objects.get()
        assert (failed.state, failed.error) == ("failed", "not_the_same_hold")


def test_governance_and_the_hold_each_wait_for_a_yes_of_their_own(demanded):
    assert with_key("ada").post(URL, {"dataClass": "metrics", "retentionDays": 30, "mode": "governance"})
    answer = with_key("ada").post(URL, {**FREE, "retentionDays": 10, "reason": "Minutes"})
    assert answer.status_code == 202
    body = answer.json()
    assert (body["approval"]["verb"], body["releaseApproval"]["verb"]) == ("retention_config.loosen", RELEASE_VERB)
    assert row().legal_hold


def test_the_admin_asks_too(demanded):
    client = Client()
    client.post("/admin/login/", {"username": ADA.email, "password": PASSWORD})
    page = f"/admin/compliance/retentionpolicy/{row().pk}/release/"
    assert b"Ask to release the hold" in client.get(page, follow=True).content
    answer = client.post(page, {"sure": "on"}, follow=True)
    assert b"waits under Approvals" in answer.content
    assert row().legal_hold
