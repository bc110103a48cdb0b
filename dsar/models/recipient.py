"""Recipients of a tenant's data, and what each was told of requests."""

from django.db import models
from django.db.models import Q

from dsar.models.request import DsarRequest, SubjectType
from kaireon.outbox.models import Destination
from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class Recipient(TenantModel):
    """Somebody outside who was given personal data: a processor, or a third party."""

    name = models.CharField(max_length=120, help_text="As the subject is told it.")
    destination = models.ForeignKey(
        Destination, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    knows_by = models.CharField(
        max_length=16,
        choices=SubjectType.choices,
        default=SubjectType.CUSTOMER_ID,
        help_text="By what it finds the person in what it got.",
    )
    sections = models.JSONField(default=list, blank=True, help_text="What it got, by section; empty: everything.")
    is_enabled = models.BooleanField(default=True, help_text="One that is off is told nothing more.")
    changed_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="recipient_name_once")]

    def __str__(self) -> str:
        return self.name


class NoticeKind(models.TextChoices):
    ERASURE = "erasure", "Erasure"
    RECTIFICATION = "rectification", "Rectification"
    RESTRICTION = "restriction", "Restriction of processing"


class NoticeState(models.TextChoices):
    WAITING = "waiting", "On its way"
    TOLD = "told", "Told"
    FAILED = "failed", "Could not be told"
    NOT_TOLD = "not_told", "Not told, for a reason"


class Effort(models.TextChoices):
    """Why Article 19 lets somebody go untold."""

    NONE = "", "-"
    IMPOSSIBLE = "impossible", "It proves impossible"
    DISPROPORTIONATE = "disproportionate", "It involves disproportionate effort"


class RecipientNoticeQuerySet(TenantQuerySet["RecipientNotice"]):
    def of(self, request: DsarRequest) -> "RecipientNoticeQuerySet":
        return self.filter(request=request).order_by("made_at", "id")


class RecipientNotice(TenantModel):
    """What one recipient has to hear of one request. Nothing here names the person: that stands, sealed, in the payload
    of the outbox's message, and is deleted as soon as the recipient has it.
    """

    request = models.ForeignKey(
        DsarRequest, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    recipient = models.ForeignKey(
        Recipient, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    # What a hold kept and what followed later are two notices.
    number = models.PositiveSmallIntegerField(default=1)
    kind = models.CharField(max_length=16, choices=NoticeKind.choices)
    article = models.CharField(max_length=80, blank=True, default="", help_text="Where the law wants it told.")
    sections = models.JSONField(default=list, blank=True)
    state = models.CharField(max_length=16, choices=NoticeState.choices, default=NoticeState.WAITING)
    error = models.CharField(max_length=64, blank=True, default="", help_text="Why it could not be told.")
    effort = models.CharField(max_length=16, choices=Effort.choices, blank=True, default=Effort.NONE)
    reason = models.CharField(max_length=500, blank=True, default="", help_text="Why it was not told. Names nobody.")
    message_ref = models.UUIDField(null=True, blank=True, editable=False)
    made_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(RecipientNoticeQuerySet)()

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "request", "recipient", "number"], name="notice_to_recipient_once"
            ),
            models.CheckConstraint(condition=Q(state="not_told") ^ Q(effort=""), name="notice_not_told_for_a_reason"),
        ]
        indexes = [models.Index(fields=["tenant", "message_ref"], name="notice_by_message")]

    def __str__(self) -> str:
        return f"{self.kind} notice {self.pk}"
