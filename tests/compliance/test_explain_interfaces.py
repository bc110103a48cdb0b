"""The explanation of a record over HTTP and by its command."""

import json
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from audit import services
from audit.models import AuditRecord
from kaireon.lib import clock
from kaireon.lib.clock import freeze
from kaireon.tenancy.context import transaction
from tests.audit.conftest import superuser  # noqa: F401
from tests.audit.pruning.conftest import size  # noqa: F401
from tests.caller import with_key
from tests.compliance.rows import (
    ACME,
    MALLORY,
    NOW,
    customer,
    days_ago,
    policy,
    traces,
)

# No row has it.
NOBODY = "0190a5e0-0000-7000-8000-0000000000ff"


class TestInterfaces:
    PATH = "/api/v1/retention/explain"

    def test_it_answers_over_http(self, db):
        (trace,) = traces(customer(), 40)
        policy("decisions", 90)
        with freeze(NOW):
            answer = with_key("ada").get(f"{self.PATH}?entity=decisionTrace&id={trace.pk}")
        assert answer.status_code == 200
        assert answer.json() == {
            "entity": "decisionTrace",
            "id": str(trace.pk),
            "dataClass": "decisions",
            "asOf": clock.rfc3339(NOW),
            "clock": {"column": "decided_at", "at": clock.rfc3339(days_ago(40))},
            "verdict": "kept",
            "earliest": clock.rfc3339(days_ago(-50)),
            "path": "cleanup",
            "summary": "It is kept until 2026-03-06 12:00 UTC; then cleanup takes it, unless something new keeps it.",
            "reasons": [
                {
                    "code": "period",
                    "text": "Its class is kept 90 days: until 2026-03-06 12:00 UTC.",
                    "until": clock.rfc3339(days_ago(-50)),
                }
            ],
            "policies": answer.json()["policies"],
            "holds": [],
            "floors": [],
            "requests": [],
            "references": [],
            "paths": [
                {
                    "path": "cleanup",
                    "does": "deletes it in a batch, before its whole month, 2025-12, is past",
                    "earliest": clock.rfc3339(days_ago(-50)),
                    "wholeMonth": "2026-04-01T00:00:00.000000Z",
                },
                {
                    "path": "dsar-purge",
                    "does": "deletes it",
                    "earliest": clock.rfc3339(days_ago(-50)),
                    "wholeMonth": None,
                },
                {"path": "erasure", "does": "deletes it", "earliest": clock.rfc3339(NOW), "wholeMonth": None},
            ],
        }

    def test_another_tenants_record_is_not_there(self, db):
        (trace,) = traces(customer(who=MALLORY), 40, who=MALLORY)
        for row_id in (trace.pk, uuid4()):
            assert with_key("ada").get(f"{self.PATH}?entity=decisionTrace&id={row_id}").status_code == 404
        policy("decisions", 90, who=MALLORY)
        services.drain("globex")
        with MALLORY.here(), transaction():
            record = AuditRecord.objects.first()
        assert with_key("ada").get(f"{self.PATH}?entity=auditRecord&id={record.pk}").status_code == 404
        assert with_key("mallory").get(f"{self.PATH}?entity=auditRecord&id={record.pk}").status_code == 200

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("entity=decisionTrace", "id"),
            ("entity=decisionTrace&id=7", "id"),
            ("entity=decisionTrace&id=%00", "id"),
            (f"id={NOBODY}", "entity"),
            (f"entity=decisiontrace&id={NOBODY}", "entity"),
        ],
    )
    def test_bad_input_is_named(self, db, query, field):
        answer = with_key("ada").get(f"{self.PATH}?{query}")
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].startswith(f"{field}: ")

    def test_the_command_says_the_same(self, db):
        (trace,) = traces(customer(), 40)
        policy("decisions", 90)
        told, read = StringIO(), StringIO()
        asked = {"tenant": ACME, "entity": "decisionTrace", "id": str(trace.pk)}
        with freeze(NOW):
            call_command("retention_explain", **asked, json=True, stdout=told)
            call_command("retention_explain", **asked, stdout=read)
            over_http = with_key("ada").get(f"{self.PATH}?entity=decisionTrace&id={trace.pk}").json()
        assert json.loads(told.getvalue()) == over_http
        assert over_http["summary"] in read.getvalue()
        assert "erasure: deletes it, from 2026-01-15 12:00 UTC" in read.getvalue()

    @pytest.mark.parametrize(
        ("entity", "row_id", "says"),
        [("nothing", NOBODY, "--entity"), ("customer", "7", "--id"), ("customer", NOBODY, "has no")],
    )
    def test_the_command_refuses_what_is_not_there(self, db, entity, row_id, says):
        with pytest.raises(CommandError, match=says):
            call_command("retention_explain", tenant=ACME, entity=entity, id=row_id, stdout=StringIO())
