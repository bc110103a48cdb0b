"""What the rules of retention refuse is told with its field and the remedy, changes nothing, and is recorded."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from audit import services as log
from audit.models import AuditRecord
from compliance.models import Hold, HoldSubject, Matter, PolicyVersion, PurgePlan, RetentionPolicy
from compliance.purging import applying
from customers.models import Interaction
from kaireon.approvals import services as approvals
from kaireon.approvals.models import ApprovalRequest
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import transaction
from tests.caller import error_of, with_key
from tests.cast import ACME
from tests.compliance import holders, planned
from tests.compliance.holders import BEA, MATTER, join, session
from tests.compliance.rows import ADA, MALLORY, NOW, customer, days_ago, interactions, policy

CONFIGS, HOLDS, PLANS = "/admin/retention-configs", "/admin/legal-holds", "/retention/plans"
POLICY, HOLD, PLAN = "retention_config.refused", "legal_hold.refused", "retention.plan.refused"
DENIED = "access.refused"
EVERYTHING = (RetentionPolicy, PolicyVersion, Matter, Hold, HoldSubject, PurgePlan, ApprovalRequest, Job, Interaction)


@pytest.fixture(autouse=True)
def _noon(db: str) -> Iterator[None]:
    with clock.freeze(NOW):
        of = customer("ann")
        interactions(of, 40, 50, 1)
        yield


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """How something is refused: the answer, and what the log says of it."""

    status: int
    code: str
    says: str
    verb: str
    reason: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    about: str = ""

    @property
    def recorded(self) -> dict[str, Any]:
        return self.changes if self.verb == DENIED else {"reason": self.reason or self.code, **self.changes}


def state(who=ADA):
    with who.here(), transaction():
        return [list(model.objects.order_by("pk").values()) for model in EVERYTHING]


def records(verb, who=ADA):
    log.drain(who.tenant_id)
    with who.here(), transaction():
        return list(AuditRecord.objects.filter(action=verb).order_by("seq"))


@contextmanager
def nothing_but_a_record(expected: Refusal, who=ADA):
    """Inside it something is refused: afterwards all is as it was, and one record more says so, in that log alone."""
    tenants = (ADA, MALLORY)
    before = {each: state(each) for each in tenants}
    counts = {each: len(records(expected.verb, each)) for each in tenants}
    yield
    assert {each: state(each) for each in tenants} == before
    found = {each: records(expected.verb, each)[counts[each] :] for each in tenants}
    assert [len(rows) for each, rows in found.items() if each is not who] == [0]
    (record,) = found[who]
    assert record.changes == expected.recorded
    assert record.entity_id == expected.about
    assert record.user_name


def refused(caller, expected: Refusal, method, path, body=None, *, who=ADA):
    with nothing_but_a_record(expected, who):
        answer = caller(method, path, body)
        error = error_of(answer)
        assert (answer.status_code, error["code"]) == (expected.status, expected.code), error
        assert expected.says in error["message"]


def days(number, code="days_out_of_range", **changes):
    says = "retentionDays: must be a whole number"
    expected = Refusal(
        status=400,
        code=code,
        says=says,
        verb=POLICY,
        about="metrics",
        changes={"field": "retentionDays", **changes},
    )
    return pytest.param({"dataClass": "metrics", "retentionDays": number}, expected, id=f"days {number!r}"[:20])


BAD_DAYS = [
    days(0, retentionDays=0),
    days(-1, retentionDays=-1),
    days(36501, retentionDays=36501),
    days(10**30),
    *(days(number, "invalid") for number in ("365", 1.5, True)),
]


class TestPolicies:
    """Of a class that has none, and of one that has."""

    @pytest.mark.parametrize(("body", "expected"), BAD_DAYS)
    def test_days_that_are_none(self, body, expected):
        refused(with_key("ada"), expected, "POST", CONFIGS, body)
        policy("metrics", 30)
        refused(with_key("ada"), expected, "POST", CONFIGS, body)

    def test_a_class_that_nobody_knows_is_not_repeated(self):
        expected = Refusal(
            status=400,
            code="unknown_data_class",
            says="dataClass: unknown data class; known are attachments,",
            verb=POLICY,
            changes={"field": "dataClass", "retentionDays": 30},
        )
        refused(with_key("ada"), expected, "POST", CONFIGS, {"dataClass": "Ann Smith", "retentionDays": 30})

    def test_a_field_that_nobody_knows_is_not_repeated(self):
        expected = Refusal(status=400, code="invalid", says="unknown field; known are", verb=POLICY, about="metrics")
        refused(with_key("ada"), expected, "POST", CONFIGS, {"dataClass": "metrics", "Ann Smith": 30})

    def test_what_is_no_json(self):
        expected = Refusal(status=400, code="invalid", says="JSON", verb=POLICY)
        with nothing_but_a_record(expected):
            assert with_key("ada")("POST", CONFIGS, raw=b"{Ann").status_code == 400

    def test_a_beginning_in_the_past(self):
        expected = Refusal(
            status=400,
            code="in_the_past",
            says="effectiveFrom: must not be in the past",
            verb=POLICY,
            about="metrics",
            changes={"field": "effectiveFrom", "retentionDays": 30},
        )
        body = {"dataClass": "metrics", "retentionDays": 30, "effectiveFrom": clock.rfc3339(days_ago(1))}
        refused(with_key("ada"), expected, "POST", CONFIGS, body)

    def test_a_clock_that_was_moved_back(self):
        policy("metrics", 30)
        expected = Refusal(
            status=409,
            code="clock_moved_back",
            says="set it right first",
            verb=POLICY,
            about="metrics",
            changes={"retentionDays": 90},
        )
        with clock.freeze(NOW - timedelta(minutes=2)):
            refused(with_key("ada"), expected, "POST", CONFIGS, {"dataClass": "metrics", "retentionDays": 90})

    def test_a_clock_that_was_moved_back_before_taking_back(self):
        policy("metrics", 30)
        policy("metrics", 20)
        with ADA.here(), transaction():
            found = RetentionPolicy.objects.get()
        expected = Refusal(
            status=409, code="clock_moved_back", says="set it right first", verb=POLICY, about=str(found.pk)
        )
        with clock.freeze(NOW - timedelta(minutes=2)):
            refused(with_key("ada"), expected, "DELETE", f"{CONFIGS}/{found.pk}/pending")

    def test_another_tenants_policy(self):
        policy("metrics", 30)
        with ADA.here(), transaction():
            found = RetentionPolicy.objects.get()
        expected = Refusal(status=404, code="not_found", says="no such object", verb=POLICY, about=str(found.pk))
        refused(with_key("mallory"), expected, "DELETE", f"{CONFIGS}/{found.pk}/pending", who=MALLORY)


def scope(code, field_, says, **body):
    expected = Refusal(status=400, code=code, says=f"{field_}: {says}", verb=HOLD, changes={"field": field_})
    return pytest.param(body, expected, id=f"{field_} {says}"[:40])


def of_rows(value, op="eq", column="kind"):
    return {"entity": "interactionHistory", "query": [{"field": column, "op": op, "value": value}]}


BAD_HOLDS = [
    scope("scope_refused", "dataClass", "unknown", dataClass="Ann Smith"),
    scope("scope_refused", "entity", "unknown", entity="Ann Smith"),
    scope("invalid", "query", "", entity="interactionHistory", query="Ann Smith"),
    scope(
        "scope_refused",
        "query",
        "condition 0: field must be one of kind",
        **of_rows("x", column="Ann"),
    ),
    scope(
        "scope_refused",
        "query",
        "condition 0: op must be one of eq",
        **of_rows("x", "rm"),
    ),
    scope(
        "scope_refused",
        "query",
        "condition 0: this is no value of created_at",
        **of_rows("x", "lt", "created_at"),
    ),
    scope("confirm_required", "query", "finds nothing at all; send confirm", **of_rows("nothing")),
    scope("confirm_required", "query", "finds every row of its entity; send confirm", **of_rows("visit")),
    scope("confirm_required", "scope", "finds everything there is; send confirm"),
    scope("scope_refused", "until", "must not lie before from", **{"from": "2026-02-01", "until": "2026-01-01"}),
    scope("scope_refused", "subjects", "", subjects=["Ann Smith"]),
]


class TestHolds:
    @pytest.mark.parametrize(("body", "expected"), BAD_HOLDS)
    def test_a_scope_that_is_none_or_finds_nothing_or_everything(self, body, expected):
        refused(with_key("ada"), expected, "POST", HOLDS, {"matter": MATTER, **body})

    def test_whoever_only_looks_leaves_no_record(self):
        answer = with_key("ada").post(f"{HOLDS}/preview", {"dataClass": "nonsense"})
        assert (answer.status_code, records(HOLD)) == (400, [])

    def test_the_release_by_whoever_asked_for_it(self):
        hold = holders.placed()["id"]
        asked = session(ADA).post(f"{HOLDS}/{hold}/release", {"reason": "settled"}).json()["approval"]["id"]
        refused(session(ADA), OWN_REQUEST, "POST", f"/approvals/{asked}", {"action": "approve"})

    def test_a_second_release(self):
        join(BEA, "Bea")
        hold = holders.placed()["id"]
        asked = holders.release(hold).json()["approval"]["id"]
        expected = Refusal(
            status=409, code="release_asked_already", says="waits for an answer already", verb=HOLD, about=hold
        )
        refused(with_key("ada"), expected, "POST", f"{HOLDS}/{hold}/release", {"reason": "settled"})
        holders.agree(asked)
        expected = Refusal(status=409, code="hold_not_active", says="somebody was faster", verb=HOLD, about=hold)
        refused(with_key("ada"), expected, "POST", f"{HOLDS}/{hold}/release", {"reason": "settled"})

    @pytest.mark.parametrize("path", ["release", "take-back"])
    def test_another_tenants_hold(self, path):
        hold = holders.placed()["id"]
        expected = Refusal(status=404, code="not_found", says="no such object", verb=HOLD, about=hold)
        body = {"reason": "settled"} if path == "release" else None
        refused(with_key("mallory"), expected, "POST", f"{HOLDS}/{hold}/{path}", body, who=MALLORY)

    def test_from_the_console(self):
        case = ("--name", "Case 7", "--reason", "order")
        for arguments, changes, says in (
            ((), {"reason": "confirm_required", "field": "scope"}, "--confirm"),
            (("--data-class", "nonsense"), {"reason": "scope_refused", "field": "dataClass"}, "--data-class: unknown"),
            (
                ("--entity", "interactionHistory", "--query", '[{"field": "x", "op": "eq", "value": "x"}]'),
                {"reason": "scope_refused", "field": "query"},
                "--query: condition 0",
            ),
        ):
            expected = Refusal(status=0, code="", says=says, verb=HOLD, **spread(changes))
            with nothing_but_a_record(expected):
                console(says, "hold", "place", *case, *arguments)


def spread(changes):
    return {"reason": changes["reason"], "changes": {k: v for k, v in changes.items() if k != "reason"}}


OWN_REQUEST = Refusal(
    status=403,
    code="own_request",
    says="somebody else must answer it",
    verb=DENIED,
    changes={"role": "admin"},
    about="approval.own_request",
)


class TestPlans:
    """Five minutes after it was made."""

    @pytest.fixture
    def plan(self) -> Any:
        policy("interactions", 30)
        return planned.make()

    def refused(self, plan, code, says, *, who="ada", person=ADA, after=timedelta(minutes=5), reason=""):
        """Over HTTP and from the console."""
        expected = Refusal(
            status=404 if code == "not_found" else 409,
            code=code,
            says=says,
            verb=PLAN,
            reason=reason,
            about=str(plan.pk),
        )
        with clock.freeze(NOW + after):
            refused(with_key(who), expected, "POST", f"{PLANS}/{plan.pk}/apply", who=person)
            with nothing_but_a_record(expected, person):
                console(says if code != "not_found" else "no such plan", "retention_apply", str(plan.pk), who=person)

    def test_one_of_a_class_that_nobody_knows(self):
        expected = Refusal(
            status=400, code="bad_request", says="known are", verb=PLAN, changes={"field": "dataClasses"}
        )
        refused(with_key("ada"), expected, "POST", PLANS, {"dataClasses": ["nonsense"]})

    def test_applied_twice(self, plan):
        with ADA.here(), clock.freeze(NOW + timedelta(minutes=4)):
            applying.begin(plan_id=plan.pk, actor=ADA.actor, now=clock.now())
            assert applying.go_on(plan_id=plan.pk, now=clock.now(), budget=Budget(60)).rows == 2
        self.refused(plan, "plan_already_applied", "Make a new one")

    def test_by_its_author(self):
        policy("interactions", 30)
        with ADA.here(), transaction():
            approvals.demand_second_person("retention.purge", demanded=True, now=NOW)
        plan = planned.make()
        self.refused(plan, "plan_not_approved", "A second person must agree")
        refused(session(ADA), OWN_REQUEST, "POST", f"/approvals/{plan.approval_id}", {"action": "approve"})

    def test_after_a_day(self, plan):
        self.refused(plan, "plan_stale", "Make a new one", after=timedelta(days=1, seconds=1))

    def test_against_another_tenant(self, plan):
        self.refused(plan, "not_found", "no such object", who="mallory", person=MALLORY, reason="plan_unknown")

    def test_one_that_is_not_there(self):
        nothing = PurgePlan(id=uuid4(), tenant_id=ACME)
        self.refused(nothing, "not_found", "no such object", reason="plan_unknown")

    def test_with_a_clock_that_was_moved_back(self, plan):
        self.refused(plan, "clock_moved_back", "Set the clock right", after=-timedelta(minutes=5))


def console(says, *words, who=ADA):
    with pytest.raises(CommandError) as caught:
        call_command(*words, "--tenant", who.tenant_id, stdout=StringIO())
    assert says in str(caught.value)
