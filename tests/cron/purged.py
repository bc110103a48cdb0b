"""What the job `dsar-purge` looks at: rows of all ages, and what is left of them."""

import pytest

from audit import services as log
from audit.models import AuditRecord
from compliance.purging import purge
from cron import runner
from cron.models import Trigger
from customers import attachments
from customers.attachments import Upload
from customers.models import Attachment, DecisionTrace, Interaction
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA
from tests.compliance.rows import NOW, count, customer, days_ago, interactions, traces

# Ages in days of the rows of each kind: between the periods, and past them.
AGES = (1, 100, 200, 400)


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


@pytest.fixture(autouse=True)
def _noon(settings):
    settings.RETENTION_COOLING_OFF_HOURS = 0
    with clock.freeze(NOW):
        yield
