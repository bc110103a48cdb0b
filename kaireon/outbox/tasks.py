"""The two messages: deliver this tenant's; look for tenants whose messages nobody delivers."""

import logging
from datetime import datetime

from celery import shared_task
from django.db import connection

from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.outbox import delivery, services, shifts
from kaireon.tenancy import serving
from kaireon.tenancy.tasks import TenantTask

logger = logging.getLogger("kaireon.outbox")

# Where workers look for both. Not the queue of hour-long reports.
CELERY_QUEUE = "journey-jobs"
# cron/schedule.py gives the sweep its beat row by this name.
SWEEP_TASK = "outbox.sweep"
SWEEP_SECONDS = 5
DELIVER_SECONDS = 45


@shared_task(
    base=TenantTask,
    name="outbox.deliver",
    acks_late=True,
    soft_time_limit=DELIVER_SECONDS + 60,
    time_limit=DELIVER_SECONDS + 75,
    expires=300,
)
def deliver(*, tenant_id: str, **_newer: object) -> int:
    """Deliver what is due, unless another worker is at it. What does not fit is left to the next sweep."""
    # Before anything is looked at: whoever publishes from here on calls anew.
    shifts.forget_call(tenant_id)
    with shifts.shift(tenant_id, missed=lambda: services.send_wake(tenant_id)) as stay:
        if stay is None:
            return 0
        return delivery.deliver_due(budget=Budget(DELIVER_SECONDS), at_each_turn=stay).sent


@shared_task(name=SWEEP_TASK, acks_late=True, expires=SWEEP_SECONDS * 2)
def sweep(**_newer: object) -> int:
    """Wake a worker for every tenant with something due; how many."""
    return 0 if serving.refusal() else sweep_due(now=clock.now())


def sweep_due(*, now: datetime) -> int:
    """Across tenants, by the resolver's function `outbox_due`, which tells ids of tenants and nothing else."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tenant_id FROM public.outbox_due(%s)", [now])
        tenants = [tenant for (tenant,) in cursor.fetchall()]
    return sum(services.send_wake(tenant) for tenant in tenants)
