"""Pipelines, their runs, and what each step of a run left behind."""

from typing import Any

from django.db import models
from django.db.models import Q

from kaireon.lib import clock
from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class PipelineQuerySet(TenantQuerySet["Pipeline"]):
    def present(self) -> "PipelineQuerySet":
        """Not deleted."""
        return self.filter(deleted_at=None)


class Pipeline(TenantModel):
    """A flow that the tenant put together: steps of registered nodes, and when they run.

    A deleted one stays as a row for as long as runs refer to it. It holds names and parameters, nobody's data.
    """

    name = models.CharField(max_length=100)
    description = models.CharField(max_length=500, default="", blank=True)
    definition = models.JSONField(help_text='{"steps": [{"name", "node", "params", "needs"}]}')
    schedule = models.JSONField(null=True, blank=True, help_text='{"cron" | "every" | "rrule", "timeZone", "missed"}')
    enabled = models.BooleanField(default=True, help_text="A disabled pipeline is started by nobody.")
    version = models.PositiveIntegerField(default=1)
    next_run_at = models.DateTimeField(null=True, blank=True, help_text="The next slot of its schedule.")
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(default=clock.now)
    updated_by = models.CharField(max_length=64, default="", blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(PipelineQuerySet)()

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], condition=Q(deleted_at=None), name="pipeline_name_once")
        ]
        indexes = [
            models.Index(
                fields=["tenant", "next_run_at"],
                condition=Q(enabled=True, deleted_at=None, next_run_at__isnull=False),
                name="pipelines_due",
            )
        ]

    def __str__(self) -> str:
        return self.name


class RunState(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    SKIPPED = "skipped", "Skipped"


class RunTrigger(models.TextChoices):
    SCHEDULE = "schedule", "Schedule"
    API = "api", "API"
    ADMIN = "admin", "Admin"
    CODE = "code", "Code"


OPEN = (RunState.QUEUED, RunState.RUNNING)


class FlowRunQuerySet(TenantQuerySet["FlowRun"]):
    def open(self) -> "FlowRunQuerySet":
        return self.filter(state__in=OPEN)

    def newest_first(self) -> "FlowRunQuerySet":
        return self.order_by("-created_at", "-id")


class FlowRun(TenantModel):
    """One run. Whoever's lease is in `holder` may move it; a slot of a schedule has one run at most."""

    pipeline = models.ForeignKey(
        Pipeline, on_delete=models.DO_NOTHING, db_constraint=False, null=True, blank=True, related_name="runs"
    )
    name = models.CharField(max_length=100, help_text="Of the flow, as it was.")
    pipeline_version = models.PositiveIntegerField(default=0)
    code_version = models.CharField(max_length=64, default="", blank=True)
    trigger = models.CharField(max_length=8, choices=RunTrigger.choices)
    slot = models.DateTimeField(null=True, blank=True, help_text="The moment of the schedule it is for.")
    state = models.CharField(max_length=8, choices=RunState.choices, default=RunState.QUEUED)
    failed_step = models.CharField(max_length=64, default="", blank=True)
    error = models.CharField(max_length=64, default="", blank=True, help_text="Reason code.")
    message = models.CharField(max_length=500, default="", blank=True, help_text="What to do about it.")
    rows_in = models.BigIntegerField(default=0)
    rows_out = models.BigIntegerField(default=0)
    rows_failed = models.BigIntegerField(default=0)
    rejects = models.FileField(max_length=255, blank=True, default="", help_text="Which rows were refused, and why.")
    keeps_batches = models.BooleanField(default=False, help_text="Rows between its steps are still in storage.")
    job_ref = models.UUIDField(null=True, blank=True, help_text="The job that works on it.")
    holder = models.UUIDField(null=True, blank=True, help_text="The lease under which it is moved.")
    created_at = models.DateTimeField(default=clock.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(FlowRunQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "pipeline run"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "pipeline", "slot"], name="flow_run_once_a_slot"),
            models.CheckConstraint(condition=Q(state__in=RunState.values), name="flow_run_state_known"),
            models.CheckConstraint(
                condition=Q(state__in=OPEN, finished_at=None) | (~Q(state__in=OPEN) & Q(finished_at__isnull=False)),
                name="flow_run_finished_has_its_time",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "pipeline", "-created_at"], name="runs_of_a_pipeline"),
            models.Index(fields=["tenant", "created_at"], condition=Q(state__in=OPEN), name="open_flow_runs"),
            models.Index(fields=["tenant", "finished_at"], condition=Q(keeps_batches=True), name="runs_with_batches"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


class FlowCheckpoint(TenantModel):
    """How far one step of a run is, written in the transaction of its effect.

    Exempt from audit capture: it moves with every batch, and what steps change has its own records. `output` holds
    references and counts; rows themselves are in storage, sealed.
    """

    run = models.ForeignKey(FlowRun, on_delete=models.DO_NOTHING, db_constraint=False, related_name="checkpoints")
    step = models.CharField(max_length=64)
    code_version = models.CharField(max_length=64)
    done = models.BooleanField(default=False)
    output: Any = models.JSONField(null=True, blank=True)
    position: Any = models.JSONField(null=True, blank=True)
    share = models.FloatField(default=0.0, help_text="How much of the step is done, 0 to 1.")
    rows_in = models.BigIntegerField(default=0)
    rows_out = models.BigIntegerField(default=0)
    rows_failed = models.BigIntegerField(default=0)
    started_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True, help_text="When the run finished, which it ages from.")

    class Meta(TenantModel.Meta):
        verbose_name = "checkpoint"
        constraints = [models.UniqueConstraint(fields=["tenant", "run", "step"], name="checkpoint_once_a_step")]

    def __str__(self) -> str:
        return f"{self.step} of {self.run_id}"
