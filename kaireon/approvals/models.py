"""Requests for approval, what people said to them, and which verbs a tenant wants a second person for."""

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Q

from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class State(models.TextChoices):
    PENDING = "pending", "Pending"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    EXPIRED = "expired", "Expired"
    CANCELLED = "cancelled", "Cancelled"
    FAILED = "failed", "Failed"


class Answer(models.TextChoices):
    APPROVE = "approve", "Approved"
    REJECT = "reject", "Rejected"


class ApprovalRequestQuerySet(TenantQuerySet["ApprovalRequest"]):
    def pending(self) -> "ApprovalRequestQuerySet":
        return self.filter(state=State.PENDING)

    def overdue(self, now: datetime) -> "ApprovalRequestQuerySet":
        return self.pending().filter(deadline__lte=now)

    def waiting_for(self, person: str, now: datetime) -> "ApprovalRequestQuerySet":
        """Open, in time, not asked for by this person and not answered by them yet. Their role is not looked at."""
        return (
            self.pending()
            .filter(deadline__gt=now)
            .exclude(requested_by=person)
            .exclude(requested_for=person)
            .exclude(votes__member_id=person)
        )

    def newest_first(self) -> "ApprovalRequestQuerySet":
        return self.order_by("-requested_at", "-id")


class ApprovalRequest(TenantModel):
    """One thing asked for. Verb, payload, stages, requester and deadline never change: a trigger sees to it."""

    verb = models.CharField(max_length=64)
    summary = models.CharField(max_length=200, help_text="What was asked for, in a line with nothing personal.")
    payload = models.BinaryField(null=True, help_text="Sealed; gone some time after the end.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of what is sealed: salt, verb, payload, stages, …")
    stages = models.JSONField(help_text="[{role or permission, yes}]")
    stage = models.PositiveSmallIntegerField(default=0, help_text="The stage whose people are asked now.")
    requested_by = models.CharField(max_length=64, help_text="The actor's id.")
    requested_by_name = models.CharField(max_length=200)
    requested_by_type = models.CharField(
        max_length=8, choices=[("user", "Member"), ("api_key", "API key"), ("system", "System")]
    )
    requested_for = models.CharField(
        max_length=64, blank=True, default="", help_text="The member behind it: who made the key, for a key."
    )
    requested_at = models.DateTimeField()
    deadline = models.DateTimeField()
    state = models.CharField(max_length=16, choices=State.choices, default=State.PENDING)
    decided_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=64, blank=True, default="", help_text="Why it could not be applied: a fact.")

    objects = TenantManager.from_queryset(ApprovalRequestQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "approval"
        indexes = [
            models.Index(fields=["tenant", "-requested_at"], name="approvals_newest"),
            models.Index(fields=["tenant", "deadline"], condition=Q(state="pending"), name="approvals_to_expire"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=State.values), name="approval_state_known"),
            models.CheckConstraint(
                condition=Q(state="pending", decided_at=None) | (~Q(state="pending") & Q(decided_at__isnull=False)),
                name="approval_decided_has_its_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verb}: {self.summary}"

    @property
    def stage_now(self) -> dict[str, Any] | None:
        """The stage whose people are asked; None when the request is closed."""
        return self.stages[self.stage] if self.state == State.PENDING else None


class ApprovalVote(TenantModel):
    """One person's answer, once for a request whatever its stages. Rows are added, never changed."""

    request = models.ForeignKey(ApprovalRequest, on_delete=models.DO_NOTHING, db_constraint=False, related_name="votes")
    stage = models.PositiveSmallIntegerField()
    answer = models.CharField(max_length=8, choices=Answer.choices)
    member_id = models.CharField(max_length=64)
    member_name = models.CharField(max_length=200)
    comments = models.TextField(blank=True, default="")
    digest = models.CharField(max_length=64, help_text="Of what this person agreed to.")
    given_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "request", "member_id"], name="one_vote_a_person"),
            models.CheckConstraint(condition=Q(answer__in=Answer.values), name="vote_answer_known"),
        ]

    def __str__(self) -> str:
        return f"{self.answer} of {self.request_id}"


class SecondPerson(TenantModel):
    """A verb for which the tenant demands a second person. No row: the tenant does not."""

    verb = models.CharField(max_length=64)
    since = models.DateTimeField()

    class Meta(TenantModel.Meta):
        verbose_name = "demand for a second person"
        verbose_name_plural = "demands for a second person"
        constraints = [models.UniqueConstraint(fields=["tenant", "verb"], name="second_person_once")]

    def __str__(self) -> str:
        return self.verb
