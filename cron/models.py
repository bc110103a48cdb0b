"""Runs of jobs."""

from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import Q

from kaireon.lib.ids import uuid7


class Trigger(models.TextChoices):
    HTTP = "http", "HTTP"
    BEAT = "beat", "Schedule"
    COMMAND = "command", "Command"
    ADMIN = "admin", "Admin"


class RunState(models.TextChoices):
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    LOST = "lost", "Lost"


class JobRunQuerySet(models.QuerySet["JobRun"]):
    def of(self, job: str) -> "JobRunQuerySet":
        return self.filter(job=job)

    def unfinished(self) -> "JobRunQuerySet":
        return self.filter(state=RunState.RUNNING)

    def real(self) -> "JobRunQuerySet":
        """Without those that only counted what they would have done."""
        return self.filter(dry_run=False)

    def newest_first(self) -> "JobRunQuerySet":
        return self.order_by("-started_at", "-id")


class JobRun(models.Model):
    """One run of a job, across tenants: tenant ids and counts, nothing personal and nothing of a tenant's own.

    Exempt from audit capture: the end of every run is recorded as `job.run` in the platform's log, and what a run
    changed has its own records.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    job = models.CharField(max_length=64)
    trigger = models.CharField(max_length=8, choices=Trigger.choices)
    actor_id = models.CharField(max_length=64, default="", blank=True)
    actor_name = models.CharField(max_length=200, default="", blank=True)
    request_id = models.CharField(max_length=128, default="", blank=True)
    state = models.CharField(max_length=16, choices=RunState.choices, default=RunState.RUNNING)
    slot = models.DateTimeField(
        null=True, blank=True, help_text="The scheduled moment it is for, or makes up for; none when it was extra."
    )
    dry_run = models.BooleanField(default=False, help_text="It counted what it would have done, and did nothing.")
    attempts = models.PositiveSmallIntegerField(default=1, help_text="Begun so often: again when its process died.")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    outcomes = models.JSONField(default=list, blank=True, help_text="[{tenantId, …the job's own, errors, ok, seconds}]")
    result = models.JSONField(null=True, blank=True, help_text="The answer, as the HTTP route gave or would give it.")
    error = models.CharField(max_length=200, default="", blank=True)

    objects = models.Manager.from_queryset(JobRunQuerySet)()

    class Meta:
        verbose_name = "job run"
        indexes = [models.Index(fields=["job", "-started_at"], name="runs_of_a_job")]
        constraints = [
            models.UniqueConstraint(fields=["job"], condition=Q(state="running"), name="one_run_at_a_time"),
            models.UniqueConstraint(fields=["job", "slot"], name="one_run_a_slot"),
            models.CheckConstraint(condition=Q(state__in=RunState.values), name="run_state_known"),
            models.CheckConstraint(
                condition=Q(state="running", finished_at=None) | (~Q(state="running") & Q(finished_at__isnull=False)),
                name="run_finished_has_its_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job} {self.started_at:%Y-%m-%d %H:%M}"

    @property
    def duration(self) -> timedelta | None:
        """None while it runs."""
        return self.finished_at - self.started_at if self.finished_at else None

    def running_for(self, now: datetime) -> timedelta:
        return (self.finished_at or now) - self.started_at

    def outcome_of(self, tenant_id: str) -> dict[str, Any] | None:
        """What this run came to in one tenant: all of it that the tenant's own people may see."""
        return next((outcome for outcome in self.outcomes if outcome["tenantId"] == tenant_id), None)
