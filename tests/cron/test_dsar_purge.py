"""The job `dsar-purge`: what it looks at, by which periods, and what it answers."""

import psycopg
import pytest
from django.core.files.storage import default_storage

from compliance import checks
from compliance.purging import purge
from customers import removals, suppressions
from customers.models import JourneyEnrollment, SuppressionTombstone
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA, GLOBEX, MALLORY
from tests.compliance.rows import count, customer, days_ago, hold, policy
from tests.cron.purged import _noon, attach, entry, left, records, rows_of_all_ages, run  # noqa: F401

RIGHT = {"HTTP_AUTHORIZATION": "Bearer test-cron-secret"}
BREAKS_IN_GLOBEX = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
CREATE TRIGGER refuse BEFORE DELETE ON public.customers_decisiontrace FOR EACH ROW
  WHEN (OLD.tenant_id = 'globex') EXECUTE FUNCTION public.refuse()
"""


@pytest.fixture(params=["per_class", "strictest"])
def mode(request, settings):
    settings.DSAR_PURGE_MODE = request.param
    return request.param


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
