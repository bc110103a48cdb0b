"""Every Celery task keeps the conventions; every type of job and every scheduled row leads to one that exists."""

import inspect
from typing import Any

import pytest
from django.conf import settings

from cron.jobs import JOBS
from kaireon.celery import app
from kaireon.jobs import registry
from kaireon.tenancy.tasks import TenantRequired, TenantTask

# Tasks of no tenant, and why.
GLOBAL = {
    "audit.drain_all": "sequences every tenant's inbox, under the sequencer's role, which sees nothing else",
    "jobs.sweep": "asks the resolver for due jobs: ids of tenants and jobs, nothing else",
    "outbox.sweep": "asks the resolver which tenants have something due, nothing else",
    "cron.run": "runs a scheduled job, which goes through across_all_tenants",
}


# Tasks whose message does not come again when their process dies, and why.
LEASED = {
    "jobs.run": "its row comes again when the lease runs out; only what is not requeued is told as a crash",
}


def tasks() -> dict[str, Any]:
    app.loader.import_default_modules()
    return {name: task for name, task in app.tasks.items() if not name.startswith("celery.")}


def test_it_knows_the_tasks() -> None:
    assert {"jobs.run", *GLOBAL} <= set(tasks())


def test_every_task_has_a_name_of_its_own() -> None:
    """Not its module's path: moving the function must not lose the messages on their way."""
    for name, task in tasks().items():
        app_name, _, verb = name.partition(".")
        assert verb.isidentifier(), name
        assert name != f"{task.run.__module__}.{task.run.__name__}", name
        assert task.run.__module__.split(".")[-2] == app_name, name


def test_every_task_takes_keywords_and_ignores_newer_ones() -> None:
    for name, task in tasks().items():
        parameters = inspect.signature(task.run).parameters.values()
        kinds = {p.kind for p in parameters}
        assert kinds <= {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}, name
        assert inspect.Parameter.VAR_KEYWORD in kinds, name


def test_every_task_is_acknowledged_late_and_keeps_no_result() -> None:
    for name, task in tasks().items():
        assert task.acks_late, name
        assert task.ignore_result, name
        assert task.reject_on_worker_lost != (name in LEASED), name


def test_every_task_goes_to_a_queue_that_has_workers() -> None:
    assert settings.CELERY_TASK_DEFAULT_QUEUE in settings.QUEUES
    for name, task in tasks().items():
        assert getattr(task, "queue", None) in (None, *settings.QUEUES), name


def test_every_task_names_its_tenant_or_is_known_to_have_none() -> None:
    for name, task in tasks().items():
        of_a_tenant = "tenant_id" in inspect.signature(task.run).parameters
        assert of_a_tenant == isinstance(task, TenantTask), name
        assert of_a_tenant != (name in GLOBAL), name


@pytest.mark.parametrize("arguments", [{}, {"tenant_id": ""}, {"tenant_id": None}, {"tenant_id": 7}])
def test_a_tenants_task_does_not_run_without_its_tenant(arguments: dict[str, Any]) -> None:
    for name, task in tasks().items():
        if isinstance(task, TenantTask):
            with pytest.raises(TenantRequired, match=name):
                task(**arguments)
            with pytest.raises(TenantRequired):
                task("acme")


def test_every_type_of_job_has_a_known_queue_and_a_limit() -> None:
    assert {"dsar_export", "dsar_erasure"} <= {t.name for t in registry.all_types()}
    for job_type in registry.all_types():
        assert job_type.queue in settings.QUEUES, job_type.name
        assert 0 < job_type.time_limit <= 3600, job_type.name


def test_every_scheduled_row_leads_to_a_task_that_exists(db: str) -> None:
    from django_celery_beat.models import PeriodicTask

    from cron import beat_rows

    beat_rows.install()
    rows = list(PeriodicTask.objects.all())
    assert {row.task for row in rows} <= set(tasks())
    assert {row.name for row in rows} >= {name for name, job in JOBS.items() if job.schedule}
