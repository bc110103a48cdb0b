"""The job row."""

from uuid import UUID

from django.db import models
from django.db.models import Q

from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class JobState(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class JobQuerySet(TenantQuerySet["Job"]):
    def open(self) -> "JobQuerySet":
        """Not finished, one way or the other."""
        return self.filter(state__in=[JobState.QUEUED, JobState.RUNNING])

    def held_by(self, lease_token: UUID | None) -> "JobQuerySet":
        """Running under exactly this lease."""
        return self.filter(state=JobState.RUNNING, lease_token=lease_token)


class Job(TenantModel):
    """One piece of work. Whoever holds its lease works on it; it is done only when its effect is committed.

    Exempt from audit capture: it is a queue, and the verbs it runs are recorded. It holds ids, never personal data.
    """

    type = models.CharField(max_length=64)
    queue = models.CharField(max_length=32)
    payload = models.JSONField(default=dict, blank=True, help_text="Ids and plain parameters.")
    request_id = models.CharField(max_length=128, default="", blank=True, help_text="Of the request that asked for it.")
    state = models.CharField(max_length=16, choices=JobState.choices, default=JobState.QUEUED)
    due_at = models.DateTimeField(help_text="Not to be started before.")
    lease_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0, help_text="How often it was started.")
    failures = models.PositiveIntegerField(default=0, help_text="How often its handler raised.")
    crashes = models.PositiveIntegerField(default=0, help_text="How often its process died of it.")
    losses = models.PositiveIntegerField(default=0, help_text="How often its lease ran out.")
    error = models.CharField(max_length=64, default="", blank=True, help_text="Reason code of the last failure.")
    percent = models.PositiveSmallIntegerField(default=0, help_text="How far it has come, where its type says so.")
    result = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(JobQuerySet)()

    class Meta(TenantModel.Meta):
        indexes = [
            models.Index(fields=["tenant", "-created_at"], name="jobs_by_creation"),
            # These two are read across tenants by due_jobs, hence without the tenant in front.
            models.Index(fields=["due_at"], condition=Q(state="queued"), name="jobs_due"),
            models.Index(fields=["lease_until"], condition=Q(state="running"), name="jobs_leased"),
            # For the gauges, which count without looking at the rows.
            models.Index(fields=["state", "queue", "type", "due_at"], condition=~Q(state="done"), name="jobs_counted"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=JobState.values), name="job_state_known"),
            models.CheckConstraint(
                condition=Q(state="running", lease_token__isnull=False, lease_until__isnull=False)
                | (~Q(state="running") & Q(lease_token=None, lease_until=None)),
                name="job_running_means_leased",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"
