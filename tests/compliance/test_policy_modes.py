"""Who may shorten: anybody who may set policies, two people with a reason, or nobody."""

import psycopg
import pytest
from django.test import Client
from rest_framework.test import APIClient

from audit import services as records
from audit.models import AuditRecord
from compliance.models import Mode, PolicyVersion, RetentionPolicy
from compliance.retention import governed, policies
from compliance.retention.in_force import in_force
from kaireon.approvals import services as approvals
from kaireon.approvals.models import ApprovalRequest
from kaireon.lib import clock
from kaireon.tenancy import tenants
from kaireon.tenancy.context import scope, transaction
from kaireon.tenancy.roles import Role
from tests.cast import ACME, ADA, KEYS, PASSWORD, SETUP, Person
from tests.compliance.rows import NOW, connect

BEA = Person("bea@acme.example", ACME, Role.ADMIN)
URL = "/api/v1/admin/retention-configs"


@pytest.fixture
def bea(db):
    user = tenants.create_user(email=BEA.email, name="Bea", password=PASSWORD, actor=SETUP)
    with scope(tenant_id=ACME, actor=SETUP), transaction():
        tenants.add_member(user=user, role=BEA.role)
    return BEA


@pytest.fixture
def ada(db):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {KEYS['ada']}")
    return client


def decide(days, mode=None, **more):
    with ADA.here(), transaction():
        return policies.upsert_policy(
            data_class="metrics", retention_days=days, mode=mode, actor=ADA.actor, now=NOW, **more
        )


def counts(now=NOW):
    with ADA.here(), transaction():
        return in_force("metrics", now)


def post(client, **body):
    return client.post(URL, {"dataClass": "metrics", **body}, format="json")


def test_a_mode_is_tightened_at_once_and_stays_when_nothing_is_said_of_it(db):
    decide(365)
    decide(365, Mode.GOVERNANCE)
    assert decide(400).mode == Mode.GOVERNANCE
    decide(None, Mode.COMPLIANCE)
    found = counts()
    assert (found.version.mode, found.days) == (Mode.COMPLIANCE, 400)


@pytest.mark.parametrize("change", [(399, None), (1, Mode.COMPLIANCE), (400, Mode.NORMAL), (500, Mode.GOVERNANCE)])
def test_compliance_mode_is_only_lengthened_and_never_left(db, change):
    decide(400, Mode.COMPLIANCE)
    with pytest.raises(policies.MayOnlyLengthen):
        decide(*change, reason="We want to")
    assert decide(401).retention_days == 401
    assert counts().version.mode == Mode.COMPLIANCE


@pytest.mark.parametrize("change", [(364, None), (365, Mode.NORMAL)])
def test_governance_mode_takes_a_reason_and_a_second_person(db, change):
    decide(365, Mode.GOVERNANCE)
    with pytest.raises(policies.ReasonRequired):
        decide(*change, reason=" ")
    with pytest.raises(policies.NeedsSecondPerson):
        decide(*change, reason="Minutes of 4 May")
    assert (counts().days, counts().pending) == (365, None)


def test_two_people_shorten_after_the_cooling_off(ada, bea):
    assert post(ada, retentionDays=365, mode="governance").json()["mode"] == "governance"
    answer = post(ada, retentionDays=30, reason="Minutes of 4 May", legalHold=True)
    assert answer.status_code == 202
    # Asked again, it is the same request.
    again = post(ada, retentionDays=30, reason="Minutes of 4 May")
    assert again.json()["approval"]["id"] == answer.json()["approval"]["id"]
    [row] = ada.get(URL).json()
    assert (row["retentionDays"], row["pendingDays"], row["legalHold"]) == (365, None, True)
    with bea.here(), transaction():
        done = approvals.decide(
            request_id=answer.json()["approval"]["id"], answer="approve", actor=bea.actor, now=clock.now()
        )
    assert (done.state, done.error) == ("approved", "")
    [row] = ada.get(URL).json()
    assert (row["retentionDays"], row["effectiveDays"], row["pendingDays"], row["mode"]) == (30, 365, 30, "governance")
    with ADA.here(), transaction():
        newest = PolicyVersion.objects.order_by("number").last()
    assert (newest.approval_id, newest.reason, newest.decided_by) == (done.pk, "Minutes of 4 May", bea.actor.id)


def test_what_was_agreed_to_is_not_done_to_another_policy(ada, bea):
    post(ada, retentionDays=365, mode="governance")
    asked = post(ada, retentionDays=30, reason="Minutes").json()["approval"]["id"]
    post(ada, retentionDays=730)
    with bea.here(), transaction():
        done = approvals.decide(request_id=asked, answer="approve", actor=bea.actor, now=clock.now())
    assert (done.state, done.error) == ("failed", "policy_changed")
    assert ada.get(URL).json()[0]["pendingDays"] is None


@pytest.mark.parametrize(
    ("mode", "body", "code", "field"),
    [
        ("compliance", {"retentionDays": 30}, "may_only_lengthen", "retentionDays"),
        ("governance", {"retentionDays": 30}, "reason_required", "reason"),
    ],
)
def test_refusals_are_recorded(ada, mode, body, code, field):
    post(ada, retentionDays=365, mode=mode)
    answer = post(ada, **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    records.drain("acme")
    with ADA.here(), transaction():
        [record] = AuditRecord.objects.filter(action="retention_config.refused")
    assert record.changes == {"reason": code, "field": field, "retentionDays": 30}


def test_an_unknown_mode_is_refused(ada):
    answer = post(ada, retentionDays=365, mode="lax")
    assert (answer.status_code, answer.json()["error"]["message"][:6]) == (400, "mode: ")


class TestTheAdmin:
    @pytest.fixture
    def page(self, db):
        client = Client()
        client.post("/admin/login/", {"username": ADA.email, "password": PASSWORD})

        def ask(days, **given):
            with ADA.here(), transaction():
                policy = RetentionPolicy.objects.get()
            path = f"/admin/compliance/retentionpolicy/{policy.pk}/days/"
            # What it deletes was looked at.
            seen = f"{policy.data_class} {days}  "
            return client.post(path, {"retention_days": days, "seen": seen, **given}, follow=True)

        return ask

    def test_it_says_from_when_a_shortening_counts(self, page):
        decide(365)
        assert b"metrics is kept for 365 days now, and 30 from" in page(30).content

    def test_it_refuses_and_records_what_a_mode_does_not_allow(self, page):
        decide(365, Mode.COMPLIANCE)
        assert b"may only be lengthened" in page(30).content
        records.drain("acme")
        with ADA.here(), transaction():
            [record] = AuditRecord.objects.filter(action="retention_config.refused")
        assert record.changes == {"reason": "may_only_lengthen", "retentionDays": 30}

    def test_it_asks_a_second_person(self, page):
        decide(365, Mode.GOVERNANCE)
        assert b"with a reason only" in page(30).content
        assert b"waits under Approvals" in page(30, reason="Minutes").content
        with ADA.here(), transaction():
            assert ApprovalRequest.objects.get().verb == governed.VERB


class TestTheDatabase:
    """Raw SQL of the application and of the owner."""

    VERSION = (
        "INSERT INTO compliance_policyversion (id, tenant_id, policy_id, data_class, number, replaces_id,"
        " retention_days, anchor, mode, reason, approval_id, decided_by, created_at, effective_from)"
        " SELECT gen_random_uuid(), tenant_id, policy_id, data_class, 2, id, %s, 'clock', %s, 'Minutes', %s, '',"
        " created_at, created_at FROM compliance_policyversion"
    )

    def refuses(self, url, words, statement, values=()):
        with connect(url) as connection, pytest.raises(psycopg.Error, match=words):
            connection.execute(statement, values)

    @pytest.mark.parametrize(("days", "mode"), [(399, "compliance"), (400, "governance"), (500, "normal")])
    def test_compliance_mode_is_only_lengthened(self, role_url, days, mode):
        decide(400, Mode.COMPLIANCE)
        self.refuses(role_url, "only ever lengthened", self.VERSION, [days, mode, None])
        self.refuses(
            role_url,
            "only ever lengthened",
            "UPDATE compliance_retentionpolicy SET retention_days = %s, mode = %s",
            [days, mode],
        )

    def test_governance_mode_takes_an_approval_of_this_verb(self, role_url, bea):
        decide(400, Mode.GOVERNANCE)
        with ADA.here(), transaction():
            other = approvals.ask(
                verb="role.grant", payload={"email": "n@x.example", "role": "viewer"}, actor=ADA.actor, now=NOW
            )
            asked = governed.ask(
                data_class="metrics", retention_days=30, mode=None, reason="Minutes", actor=ADA.actor, now=NOW
            )
        for approval in (None, other.pk, asked.pk):
            self.refuses(role_url, "by two people", self.VERSION, [399, "governance", approval])
            self.refuses(role_url, "by two people", self.VERSION, [400, "normal", approval])
        with ADA.here(), transaction():
            assert ApprovalRequest.objects.get(pk=asked.pk).state == "pending"

    @pytest.mark.parametrize("mode", [Mode.GOVERNANCE, Mode.COMPLIANCE])
    def test_the_policy_is_not_deleted(self, owner_url, mode):
        decide(400, mode)
        self.refuses(owner_url, "stays", "DELETE FROM compliance_retentionpolicy")
