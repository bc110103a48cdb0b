"""The job `dsar-purge`: what it looks at, by which periods, and what it answers."""

from collections import Counter
from datetime import timedelta

import psycopg
import pytest
from django.core.files.storage import default_storage

from audit import services as log
from audit.models import AuditRecord
from compliance import checks
from compliance.models import Disposition
from compliance.purging import applying, batches, plans, purge
from compliance.purging.refusals import PlanRefused
from compliance.retention import binding, policies
from cron import runner
from cron.models import Trigger
from customers import attachments, removals, suppressions
from customers.attachments import Upload
from customers.catalogue import DSAR_PURGE
from customers.models import Attachment, DecisionTrace, Interaction, JourneyEnrollment, SuppressionTombstone
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA, GLOBEX, MALLORY
from tests.compliance.rows import NOW, count, customer, days_ago, hold, interactions, policy, traces

RIGHT = {"HTTP_AUTHORIZATION": "Bearer test-cron-secret"}
BREAKS_IN_GLOBEX = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
CREATE TRIGGER refuse BEFORE DELETE ON public.customers_decisiontrace FOR EACH ROW
  WHEN (OLD.tenant_id = 'globex') EXECUTE FUNCTION public.refuse()
"""
# Ages in days of the rows of each kind: between the periods, and past them.
AGES = (1, 100, 200, 400)


@pytest.fixture(autouse=True)
def _noon(settings):
    settings.RETENTION_COOLING_OFF_HOURS = 0
    with clock.freeze(NOW):
        yield


@pytest.fixture(params=["per_class", "strictest"])
def mode(request, settings):
    settings.DSAR_PURGE_MODE = request.param
    return request.param


@pytest.fixture
def strictest(settings):
    settings.DSAR_PURGE_MODE = "strictest"


def run(job="dsar-purge", **options):
    return runner.run_job(job, trigger=Trigger.COMMAND, **options)


def entry(body, tenant=ACME):
    return next(e for e in body["perTenant"] if e["tenantId"] == tenant)


def attach(of, *days, who=ADA):
    """Attachments with their objects; the objects' names."""
    with who.here():
        stored = attachments.store(
            [Upload(name="id.pdf", content=b"x", uploaded_at=days_ago(d)) for d in days], now=NOW
        )
        for row in stored:
            row.customer_id = of.pk
        with transaction():
            attachments.attach(stored)
    return [row.file.name for row in stored]


def rows_of_all_ages(number="c-1", *, who=ADA):
    of = customer(number, who=who)
    interactions(of, *AGES, who=who)
    traces(of, *AGES, who=who)
    attach(of, *AGES, who=who)
    return of


def left(who=ADA):
    return tuple(count(model, who=who) for model in (Interaction, DecisionTrace, Attachment))


def records(who=ADA):
    log.drain(who.tenant_id)
    with who.here(), transaction():
        return list(AuditRecord.objects.filter(action=purge.VERB).order_by("seq"))


# What stays of four interactions, four traces, four attachments under each row of the contract's table.
TABLE = [
    ("per_class", {"interactions": 365, "decisions": 90}, "", (3, 1, 4), 90),
    ("strictest", {"interactions": 365, "decisions": 90}, "", (1, 1, 1), 90),
    ("per_class", {"interactions": 365, "decisions": 90}, "interactions", (4, 1, 4), 90),
    ("strictest", {"interactions": 365, "decisions": 90}, "interactions", (4, 1, 1), 90),
    ("per_class", {}, "", (4, 4, 4), 0),
    ("strictest", {}, "", (4, 4, 4), 0),
]


@pytest.mark.parametrize(("how", "days", "held", "stays", "shortest"), TABLE)
def test_it_goes_by_the_table_of_the_contract(db, settings, how, days, held, stays, shortest):
    settings.DSAR_PURGE_MODE = how
    rows_of_all_ages()
    for data_class, period in days.items():
        policy(data_class, period, hold=data_class == held)
    dry = run(dry_run=True).body
    assert left() == (4, 4, 4)
    body = run().body
    assert left() == stays
    assert entry(dry) | {"blobsDeleted": 0} == entry(body) | {"blobsDeleted": 0}
    gone = 4 - stays[2]
    assert entry(body) == {
        "tenantId": ACME,
        "retentionDays": shortest,
        "decisionTraces": 4 - stays[1],
        "interactionHistory": 4 - stays[0],
        "aiAttachments": gone,
        "blobsDeleted": gone,
        "errors": [],
    }
    assert (body["ok"], body["tenantsScanned"], body["totalBlobsAttempted"]) == (True, 2, gone)


@pytest.mark.parametrize("job", ["dsar-purge", "cleanup"])
@pytest.mark.parametrize("by", ["legalHold", "matter"])
def test_365_days_of_held_interactions_and_90_of_decisions_leave_every_interaction_in_place(db, mode, job, by):
    rows_of_all_ages()
    policy("interactions", 365, hold=by == "legalHold")
    policy("decisions", 90)
    if by == "matter":
        hold(data_class="interactions")
    for _ in range(2):
        assert run(job).ok
        assert left() == (4, 1, 1 if (mode, job) == ("strictest", "dsar-purge") else 4)


def test_over_http_it_answers_the_same_fields_of_every_tenant(db, http):
    rows_of_all_ages()
    policy("attachments", 365)
    answer = http.post("/api/v1/cron/dsar-purge", **RIGHT)
    nothing = {"decisionTraces": 0, "interactionHistory": 0, "aiAttachments": 0, "blobsDeleted": 0, "errors": []}
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "ok": True,
            "tenantsScanned": 2,
            "totalBlobsAttempted": 1,
            "perTenant": [
                {**nothing, "tenantId": ACME, "retentionDays": 365, "aiAttachments": 1, "blobsDeleted": 1},
                {**nothing, "tenantId": GLOBEX, "retentionDays": 0},
            ],
        },
    )
    assert http.get("/api/v1/cron/dsar-purge", **RIGHT).status_code == 405
    assert http.post("/api/v1/cron/dsar-purge").status_code == 401


def test_each_tenant_gets_one_record_with_the_counts_also_when_nothing_went(db, mode):
    rows_of_all_ages()
    policy("decisions", 365)
    run()
    [mine], [theirs] = records(), records(MALLORY)
    assert mine.changes["deleted"]["decisionTrace"] == 1
    assert (mine.changes["sweptBy"], mine.changes["retentionDays"]) == ("dsar-purge", 365)
    assert (mine.user_name, theirs.changes["total"], theirs.changes["retentionDays"]) == ("dsar-purge", 0, 0)


def test_it_looks_at_nothing_else(db, mode):
    of = customer()
    with ADA.here(), transaction():
        JourneyEnrollment.objects.create(
            customer=of, journey="welcome", entered_at=days_ago(500), ended_at=days_ago(400)
        )
        suppressions.suppress(of, now=days_ago(50), expires_at=days_ago(1))
        suppressions.leave_tombstones(of, now=days_ago(20))
        SuppressionTombstone.objects.update(expires_at=days_ago(2))
    policy("interactions", 30)
    policy("consents", 1)
    run()
    assert (count(JourneyEnrollment), count(SuppressionTombstone)) == (1, 1)


def test_one_tenants_failure_is_told_after_everything_else_was_done(db, http, superuser_url):
    for who in (ADA, MALLORY):
        rows_of_all_ages(who=who)
        for data_class in ("interactions", "decisions"):
            policy(data_class, 365, who=who)
    with psycopg.connect(superuser_url, autocommit=True) as root:
        root.execute(BREAKS_IN_GLOBEX)
    answer = http.post("/api/v1/cron/dsar-purge", **RIGHT)
    body = answer.json()
    assert (answer.status_code, body["ok"], body["error"]) == (500, False, "1 of 2 tenants failed")
    assert (entry(body)["decisionTraces"], entry(body)["errors"]) == (1, [])
    theirs = entry(body, GLOBEX)
    assert (theirs["interactionHistory"], theirs["decisionTraces"]) == (1, 0)
    assert theirs["errors"] == ["decisionTrace: ProgrammingError"]
    assert left(MALLORY) == (3, 4, 4)
    assert [r.changes["errors"] for r in records(MALLORY)] == [["decisionTrace: ProgrammingError"]]


def test_a_tenant_that_fails_as_a_whole_has_the_same_fields(db, monkeypatch):
    rows_of_all_ages("m-1", who=MALLORY)
    policy("decisions", 90, who=MALLORY)
    plain = purge.purge_expired

    def failing(*, actor, **options):
        from kaireon.tenancy import context

        if context.tenant_id() == ACME:
            raise OSError("no")
        return plain(actor=actor, **options)

    monkeypatch.setattr(purge, "purge_expired", failing)
    body = run().body
    assert entry(body) == {
        "tenantId": ACME,
        "retentionDays": 0,
        "decisionTraces": 0,
        "interactionHistory": 0,
        "aiAttachments": 0,
        "blobsDeleted": 0,
        "errors": ["OSError"],
    }
    assert (body["ok"], entry(body, GLOBEX)["decisionTraces"]) == (False, 3)


def test_an_object_that_was_gone_already_is_a_warning(db):
    name, _ = attach(customer(), 400, 500)
    default_storage.delete(name)
    policy("attachments", 365)
    ran = run()
    assert (ran.ok, ran.body["totalBlobsAttempted"]) == (True, 2)
    assert (entry(ran.body)["aiAttachments"], entry(ran.body)["blobsDeleted"]) == (2, 1)
    (outcome,) = [o for o in ran.run.outcomes if o["tenantId"] == ACME]
    assert outcome["warnings"] == ["1 objects were gone already"]


def test_an_object_that_storage_does_not_let_go_fails_the_run_and_goes_with_the_next(db, monkeypatch):
    (name,) = attach(customer(), 400)
    policy("attachments", 365)

    def away(_name):
        raise OSError("storage is away")

    with monkeypatch.context() as patched:
        patched.setattr(removals, "remove_object", away)
        body = run().body
    assert (body["ok"], body["totalBlobsAttempted"], entry(body)["blobsDeleted"]) == (False, 1, 0)
    assert entry(body)["errors"] == ["1 stored objects could not be removed"]
    assert run().ok
    assert not default_storage.exists(name)


class TestStrictest:
    """The shortest period counts for all three, and whatever keeps a row beats it."""

    @pytest.fixture(autouse=True)
    def _rows(self, db, strictest):
        self.of = rows_of_all_ages()
        policy("interactions", 365)
        policy("decisions", 90)

    def test_a_law_keeps_its_class(self):
        with ADA.here(), transaction():
            binding.switch(name="tax-6-years", on=True, actor=ADA.actor, now=NOW)
        run()
        assert left() == (1, 1, 4)

    def test_a_law_about_all_classes_makes_the_shortest_period_longer(self):
        with ADA.here(), transaction():
            binding.switch(name="dpdp-2025", on=True, actor=ADA.actor, now=NOW)
        then = clock.at("2027-06-01T12:00:00Z")
        with clock.freeze(then):
            for model, made in ((Interaction, interactions), (DecisionTrace, traces)):
                with ADA.here(), transaction():
                    model.objects.all().delete()
                made(customer(model.__name__), *((NOW - then).days + days for days in (364, 368)))
            body = run().body
        assert (entry(body)["retentionDays"], left()[:2]) == (366, (1, 1))

    def test_holds_of_people_and_open_requests_keep_their_rows(self):
        asked = rows_of_all_ages("c-2")
        hold(self.of)
        hold(asked, kind="request")
        rows_of_all_ages("c-3")
        run()
        with ADA.here(), transaction():
            for model in (Interaction, DecisionTrace, Attachment):
                kept = Counter(model.objects.values_list("customer__customer_id", flat=True))
                assert kept == {"c-1": 4, "c-2": 4, "c-3": 1}

    @pytest.mark.parametrize("kept_by", ["governance", "compliance"])
    def test_what_may_not_be_shortened_just_so_keeps_its_own_period(self, kept_by):
        with ADA.here(), transaction():
            policies.upsert_policy(
                data_class="interactions", retention_days=365, mode=kept_by, actor=ADA.actor, now=NOW
            )
        run()
        assert left() == (3, 1, 1)

    def test_a_shortening_that_cools_off_counts_for_nobody_yet(self, settings):
        settings.RETENTION_COOLING_OFF_HOURS = 24
        policy("metrics", 365)
        policy("metrics", 1)
        body = run().body
        assert (entry(body)["retentionDays"], left()) == (90, (1, 1, 1))
        with clock.freeze(NOW + timedelta(days=1, minutes=1)):
            body = run().body
        assert (entry(body)["retentionDays"], left()) == (1, (0, 0, 0))

    def test_a_held_class_gives_no_period_and_keeps_its_rows(self):
        policy("decisions", 90, hold=True)
        body = run().body
        assert (entry(body)["retentionDays"], left()) == (365, (3, 4, 3))

    def test_a_matter_that_holds_a_whole_class_does_the_same(self):
        hold(data_class="decisions")
        body = run().body
        assert (entry(body)["retentionDays"], left()) == (365, (3, 4, 3))

    def test_a_matter_that_holds_everything_leaves_no_period(self):
        hold()
        body = run().body
        assert (entry(body)["retentionDays"], left()) == (0, (4, 4, 4))

    def test_a_hold_on_the_shortest_class_counts_from_the_next_batch_on(self, monkeypatch):
        plain, seen = batches.Batches.with_retries, []

        def then_hold(*args, **kwargs):
            done = plain(*args, **kwargs)
            if not seen:
                seen.append(left())
                policy("decisions", 90, hold=True)
            return done

        monkeypatch.setattr(batches.Batches, "with_retries", then_hold)
        with ADA.here():
            purge.purge_expired(now=NOW, actor=ADA.actor, swept_by=DSAR_PURGE, batch=1)
        # One interaction, the oldest, went by the 90 days; the rest by the 365 that are the shortest now.
        assert (seen, left()) == ([(3, 4, 4)], (3, 4, 3))

    def test_the_disposition_names_the_policy_it_went_by(self):
        run()
        with ADA.here(), transaction():
            said = {d.entity: (d.policy_class, d.policy_version, d.retention_days) for d in Disposition.objects.all()}
        assert said == {
            "interactionHistory": ("decisions", 1, 90),
            "decisionTrace": ("", 1, 90),
            "attachment": ("decisions", 1, 90),
        }

    def test_a_plan_of_this_job_says_and_does_the_same(self):
        with ADA.here():
            with transaction():
                plan = plans.make(actor=ADA.actor, now=NOW, swept_by=DSAR_PURGE)
                items = [plans.wire_item(item) for item in plans.items_of(plan)]
            assert {i["entity"]: (i["rows"], i["retentionDays"], i["policyClass"]) for i in items} == {
                "interactionHistory": (3, 90, "decisions"),
                "decisionTrace": (3, 90, "decisions"),
                "attachment": (3, 90, "decisions"),
            }
            applying.begin(plan_id=plan.pk, actor=ADA.actor, now=NOW)
            assert applying.go_on(plan_id=plan.pk, now=NOW, budget=Budget(60)).rows == 9
        assert left() == (1, 1, 1)

    def test_a_plan_is_refused_when_each_class_goes_by_its_own_again(self, settings):
        with ADA.here():
            with transaction():
                plan = plans.make(actor=ADA.actor, now=NOW, swept_by=DSAR_PURGE)
            settings.DSAR_PURGE_MODE = "per_class"
            with pytest.raises(PlanRefused) as caught:
                applying.begin(plan_id=plan.pk, actor=ADA.actor, now=NOW)
        assert caught.value.code == "policy_changed"
        assert left() == (4, 4, 4)

    def test_cleanup_and_its_plans_go_by_each_class(self):
        with ADA.here(), transaction():
            assert plans.make(actor=ADA.actor, now=NOW).rows == 4
        run("cleanup")
        assert left() == (3, 1, 4)


@pytest.mark.parametrize("text", ["Strictest", "STRICTEST", "seed", "per-class"])
def test_a_mode_that_is_none_is_told_and_keeps_more(db, settings, text):
    settings.DSAR_PURGE_MODE = text
    (message,) = checks.purge_mode_is_known(None)
    assert (message.id, "per_class or strictest" in message.hint) == ("kaireon.E063", True)
    rows_of_all_ages()
    policy("interactions", 365)
    policy("decisions", 90)
    run()
    assert left() == (3, 1, 4)


def test_both_modes_are_known(mode):
    assert checks.purge_mode_is_known(None) == []
