"""What was disposed of is written down, true to the row, whatever stops the purge."""

import csv
import io
import json
from datetime import timedelta
from io import StringIO

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError

from audit import services
from audit.models import AuditRecord
from compliance.models import Disposition
from compliance.purging import batches, purge, report
from compliance.purging.dispositions import Run, add
from compliance.purging.periods import Terms
from customers import suppressions
from customers.models import Interaction, SuppressionTombstone
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import Actor, scope, transaction
from tests.audit.kills.child import dying
from tests.caller import with_key
from tests.compliance.rows import ACME, ADA, MALLORY, NOW, count, customer, days_ago, interactions, policy, traces
from tests.servers import SUITE


def run(who=ADA, **options):
    with who.here():
        return purge.purge_expired(now=NOW, actor=who.actor, **options)


def dispositions(who=ADA):
    with who.here(), transaction():
        return list(Disposition.objects.order_by("data_class", "entity", "policy_version"))


def test_it_says_what_went_how_much_and_under_which_policy(db):
    who = customer()
    interactions(who, 40, 50, 60, 1)
    traces(who, 99)
    policy("interactions", 30)
    policy("decisions", 90)
    policy("decisions", 91)
    run(batch=2)
    decisions, seen = dispositions()
    assert (seen.data_class, seen.entity, seen.method, seen.rows) == (
        "interactions",
        "interactionHistory",
        "deleted",
        3,
    )
    assert (seen.clock, seen.clock_from, seen.clock_until) == ("occurred_at", days_ago(60), days_ago(40))
    assert (seen.retention_days, seen.policy_version, seen.law, seen.plan) == (30, 1, "", None)
    assert (seen.done_by, seen.done_by_name, seen.approved_by) == (ADA.actor.id, "Ada", "")
    assert seen.first_at <= seen.last_at
    assert (decisions.rows, decisions.retention_days, decisions.policy_version) == (1, 91, 2)
    assert decisions.run == seen.run


def test_each_purge_has_its_own_and_one_without_effect_has_none(db):
    interactions(customer(), 40)
    policy("interactions", 30)
    run(dry_run=True)
    assert dispositions() == []
    run()
    run()
    assert len(dispositions()) == 1
    interactions(customer("c-2"), 40)
    run()
    assert len({d.run for d in dispositions()}) == 2


def test_what_ends_by_itself_has_no_policy_and_is_written_down_too(db):
    who = customer()
    with ADA.here(), transaction():
        suppressions.suppress(who, now=days_ago(50), expires_at=days_ago(1))
        suppressions.leave_tombstones(who, now=days_ago(20))
        SuppressionTombstone.objects.update(expires_at=days_ago(2))
    run()
    assert [(d.entity, d.rows, d.retention_days, d.policy_version) for d in dispositions()] == [
        ("suppression", 1, None, 0),
        ("suppressionTombstone", 1, None, 0),
    ]


def test_a_batch_that_is_undone_leaves_nothing_of_its_count(db, monkeypatch):
    interactions(customer(), 40, 50, 60)
    policy("interactions", 30)
    plain = batches.dispositions.count

    def then_break(*args, **kwargs):
        plain(*args, **kwargs)
        if count_of(dispositions_now()) > 2:
            raise psycopg_error()

    def psycopg_error():
        return DatabaseError("broken")

    def dispositions_now():
        return list(Disposition.objects.all())

    monkeypatch.setattr(batches.dispositions, "count", then_break)
    done = run(batch=2)
    assert done.errors == ["interactionHistory: DatabaseError"]
    assert (count(Interaction), count_of(dispositions())) == (1, 2)


def count_of(rows):
    return sum(row.rows for row in rows)


def test_a_policy_that_is_lengthened_in_the_middle_counts_from_there(db, monkeypatch):
    interactions(customer(), 100, 90, 50, 40)
    policy("interactions", 30)
    plain = batches.Batches.with_retries

    def then_lengthen(*args, **kwargs):
        done = plain(*args, **kwargs)
        if done.deleted:
            policy("interactions", 60)
        return done

    monkeypatch.setattr(batches.Batches, "with_retries", then_lengthen)
    run(batch=1)
    assert count(Interaction) == 2
    assert [(d.policy_version, d.rows) for d in dispositions()] == [(1, 1), (2, 1)]


def test_a_purge_that_is_killed_anywhere_leaves_them_true_to_the_row(db):
    """SIGKILL before every fourth statement or around a commit; the next purge goes on, until one lives."""
    interactions(customer(), *[40] * 9, *[50] * 4, 1)
    policy("interactions", 30)
    point, killed = 6, 0
    while dying(lambda: run(batch=2), at_statement=point):
        killed += 1
        assert_true_to_the_row(db, before=14)
        point += 4
    assert_true_to_the_row(db, before=14)
    assert killed > 5
    assert count(Interaction) == 1
    assert len({d.run for d in dispositions()}) > 1


def assert_true_to_the_row(db, *, before):
    """In SQL, past all that is under test: what is gone is what was written down."""
    with psycopg.connect(SUITE.superuser_url(db)) as root:
        left, gone = root.execute(
            "SELECT (SELECT count(*) FROM customers_interaction WHERE tenant_id = %(t)s),"
            " (SELECT coalesce(sum(rows), 0) FROM compliance_disposition WHERE tenant_id = %(t)s"
            " AND entity = 'interactionHistory')",
            {"t": ACME},
        ).fetchone()
    assert before - left == gone


@pytest.fixture
def one(db):
    interactions(customer(), 40)
    policy("interactions", 30)
    run(budget=Budget(60))
    return db


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM compliance_disposition",
        "TRUNCATE compliance_disposition",
        "UPDATE compliance_disposition SET rows = rows - 1",
        "UPDATE compliance_disposition SET entity = 'customer'",
        "UPDATE compliance_disposition SET law = 'another'",
        "UPDATE compliance_disposition SET approved_by = 'somebody'",
        "UPDATE compliance_disposition SET clock_until = clock_until - interval '1 day'",
        "UPDATE compliance_disposition SET first_at = first_at - interval '1 day'",
    ],
)
def test_nobody_changes_or_removes_one(one, statement):
    urls = SUITE.urls(one)
    for url in (urls["default"], urls["owner"], SUITE.superuser_url(one)):
        with psycopg.connect(url) as session:
            session.execute("SELECT set_config('app.tenant_id', %s, false)", [ACME])
            if url == SUITE.superuser_url(one):
                session.execute("SET session_replication_role = replica")
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as refusal:
                session.execute(statement)
            if url != urls["default"]:
                assert "append-only" in str(refusal.value)
    assert count_of(dispositions()) == 1


def test_another_tenants_are_not_seen(one):
    assert dispositions(MALLORY) == []
    interactions(customer("m-1", who=MALLORY), 40, who=MALLORY)
    policy("interactions", 30, who=MALLORY)
    run(MALLORY)
    assert (count_of(dispositions()), count_of(dispositions(MALLORY))) == (1, 1)


def test_the_record_of_the_purge_names_the_run(one):
    services.drain(ACME)
    with ADA.here(), transaction():
        record = AuditRecord.objects.get(action=purge.VERB)
    assert record.changes["run"] == str(dispositions()[0].run)


def test_the_period_of_a_report_takes_in_what_was_going_on(one):
    (row,) = dispositions()
    second = timedelta(seconds=1)
    with ADA.here(), transaction():
        assert Disposition.objects.between(row.first_at - second, row.last_at + second).count() == 1
        assert Disposition.objects.between(None, row.first_at - second).count() == 0
        assert Disposition.objects.between(row.last_at + second, None).count() == 0


URL = "/retention/dispositions"


def test_the_api_lists_them_by_period(one):
    (row,) = dispositions()
    answer = with_key("ada").get(URL).json()
    assert (answer["total"], answer["page"], answer["limit"]) == (1, 1, 100)
    (said,) = answer["dispositions"]
    assert said == report.wire(row)
    assert (said["rows"], said["entity"], said["retentionDays"]) == (1, "interactionHistory", 30)
    day = row.first_at.date()
    assert with_key("ada").get(f"{URL}?from={day}&to={day}").json()["total"] == 1
    assert with_key("ada").get(f"{URL}?to={day - timedelta(days=1)}").json()["total"] == 0
    assert with_key("mallory").get(URL).json()["dispositions"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?format=pdf", "format"),
        ("?from=yesterday", "from"),
        ("?to=2026-02-30", "to"),
        ("?from=2026-02-02&to=2026-02-01", "from"),
        ("?limit=0", "limit"),
    ],
)
def test_it_names_what_is_wrong_with_the_question(db, query, field):
    answer = with_key("ada").get(URL + query)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(f"{field}: ")


def with_evil_names():
    """A disposition whose words, all from outside, would run in a page or a spreadsheet."""
    evil = "=HYPERLINK(1)<script>alert(1)</script>"
    with scope(tenant_id=ACME, actor=Actor(id="x", name=evil, type="user")), transaction():
        add(
            Run(approved_by_name=evil),
            data_class="interactions",
            entity="interactionHistory",
            clock_column="occurred_at",
            rows=1_234_567,
            terms=Terms(days=30, version=1, law=evil),
            clock_from=days_ago(40),
            clock_until=days_ago(31),
        )
    return evil


def test_a_report_runs_nothing(db):
    evil = with_evil_names()
    table = with_key("ada").get(f"{URL}?format=csv")
    assert table["Content-Type"] == "text/csv; charset=utf-8"
    assert table["Content-Disposition"].startswith('attachment; filename="dispositions-acme-')
    header, cells = list(csv.reader(io.StringIO(table.content.decode())))
    assert tuple(header) == report.COLUMNS
    assert cells[report.COLUMNS.index("doneByName")] == "'" + evil
    assert cells[report.COLUMNS.index("law")] == "'" + evil
    assert cells[report.COLUMNS.index("rows")] == "1234567"
    page = with_key("ada").get(f"{URL}?format=html")
    assert (page["Content-Type"], page["X-Content-Type-Options"]) == ("text/html; charset=utf-8", "nosniff")
    text = page.content.decode()
    assert "<script" not in text
    assert "1,234,567" in text
    assert "30 days, version 1" in text
    services.drain(ACME)
    with ADA.here(), transaction():
        exports = AuditRecord.objects.filter(action=report.VERB)
        assert sorted(r.changes["format"] for r in exports) == ["csv", "html"]


def test_the_command_reports_too(one, tmp_path):
    def said(*arguments):
        out = StringIO()
        call_command("dispositions", "--tenant", "acme", *arguments, stdout=out, no_color=True)
        return out.getvalue()

    assert json.loads(said("--json"))[0]["rows"] == 1
    assert "interactions/interactionHistory  deleted  30 days, v1" in said()
    assert "Nothing was disposed of" in said("--to", "2020-01-01")
    said("--format", "csv", "--output", str(tmp_path / "table.csv"))
    assert (tmp_path / "table.csv").read_bytes().count(b"\r\n") == 2
    assert said("--format", "html").startswith("<!DOCTYPE html>")
    with pytest.raises(CommandError, match="from"):
        said("--from", "2026-02-02", "--to", "2026-02-01")
