"""A client, and a run to look at."""

from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from cron.models import JobRun, RunState, Trigger
from kaireon.lib import clock


@pytest.fixture
def http(db: str) -> APIClient:
    return APIClient()


@pytest.fixture
def run(db: str) -> JobRun:
    """A run that went well in Acme and failed in Globex, a while ago."""
    started = clock.now() - timedelta(hours=1)
    outcomes = [
        {"tenantId": "acme", "deleted": {"interactionHistory": 41}, "errors": [], "ok": True, "seconds": 0.2},
        {"tenantId": "globex", "errors": ["OperationalError"], "ok": False, "seconds": 0.1},
    ]
    return JobRun.objects.create(
        job="cleanup",
        trigger=Trigger.HTTP,
        slot=started.replace(microsecond=0),
        started_at=started,
        finished_at=started + timedelta(seconds=2.5),
        state=RunState.FAILED,
        error="1 of 2 tenants failed",
        outcomes=outcomes,
        result={"ok": False, "partitionsCreated": 7, "perTenant": outcomes},
        actor_name="Ada",
        request_id="req-7",
    )
