"""Destinations, messages on their way to them, their payloads, and what could not be delivered."""

from datetime import datetime
from uuid import UUID

from django.db import models
from django.db.models import Q

from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class Kind(models.TextChoices):
    WEBHOOK = "webhook", "Webhook"
    EMAIL = "email", "E-mail"
    OBJECT = "object", "Object in storage"
    STREAM = "stream", "Redis stream"
    SLACK = "slack", "Slack channel"
    TEAMS = "teams", "Microsoft Teams channel"


class Destination(TenantModel):
    """Where a tenant's messages go. `settings` holds nothing secret; credentials are sealed beside it."""

    name = models.CharField(max_length=64)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    settings = models.JSONField(default=dict, blank=True)
    secret_sealed = models.BinaryField(null=True, blank=True, editable=False)
    is_enabled = models.BooleanField(default=True, help_text="Messages to a destination that is off wait.")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="destination_name_once"),
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="destination_kind_known"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"


class MessageState(models.TextChoices):
    PENDING = "pending", "Pending"
    SENDING = "sending", "Sending"
    DONE = "done", "Delivered"
    DEAD = "dead", "Dead"


class MessageQuerySet(TenantQuerySet["Message"]):
    def held_by(self, lease_token: UUID | None) -> "MessageQuerySet":
        """Being sent under exactly this lease."""
        return self.filter(state=MessageState.SENDING, lease_token=lease_token)

    def stuck(self, now: datetime) -> "MessageQuerySet":
        """Being sent by a worker whose lease has run out."""
        return self.filter(state=MessageState.SENDING, lease_until__lte=now)


class Message(TenantModel):
    """One message to one destination. Its id is what a receiver deduplicates on; nothing in it is personal."""

    topic = models.CharField(max_length=64)
    destination = models.ForeignKey(
        Destination, on_delete=models.DO_NOTHING, db_constraint=False, related_name="messages"
    )
    ordering_key = models.CharField(max_length=128, default="", blank=True, help_text="An id, never a name.")
    position = models.BigIntegerField(default=0, help_text="Place among the messages of the same key.")
    request_id = models.CharField(max_length=128, default="", blank=True)
    size = models.PositiveIntegerField(help_text="Of the payload, in bytes.")
    state = models.CharField(max_length=16, choices=MessageState.choices, default=MessageState.PENDING)
    due_at = models.DateTimeField()
    lease_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0, help_text="How often a worker took it.")
    failures = models.PositiveIntegerField(default=0, help_text="How often it was refused.")
    losses = models.PositiveIntegerField(default=0, help_text="How often its worker vanished.")
    error = models.CharField(max_length=64, default="", blank=True, help_text="Type of the last failure.")
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(MessageQuerySet)()

    class Meta(TenantModel.Meta):
        indexes = [
            models.Index(fields=["tenant", "-created_at"], name="outbox_by_creation"),
            models.Index(
                fields=["tenant", "ordering_key", "position"],
                condition=Q(state__in=["pending", "sending"]),
                name="outbox_by_key",
            ),
            # These two are read across tenants by outbox_due, hence without the tenant in front.
            models.Index(fields=["due_at"], condition=Q(state="pending"), name="outbox_due"),
            models.Index(fields=["lease_until"], condition=Q(state="sending"), name="outbox_leased"),
            models.Index(fields=["tenant", "finished_at"], condition=Q(state="done"), name="outbox_finished"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=MessageState.values), name="message_state_known"),
            models.CheckConstraint(
                condition=Q(state="sending", lease_token__isnull=False, lease_until__isnull=False)
                | (~Q(state="sending") & Q(lease_token=None, lease_until=None)),
                name="message_sending_means_leased",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.pk}"


class Payload(TenantModel):
    """What a message or a dead letter says, sealed, under the id of that. Erasure and retention delete it alone."""

    sealed = models.BinaryField(editable=False)
    subject_ref = models.UUIDField(null=True, blank=True, help_text="The customer it is about.")
    finished_at = models.DateTimeField(null=True, blank=True, help_text="Its retention counts from here.")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Of no use from here on, whatever retention says.")

    class Meta(TenantModel.Meta):
        indexes = [
            models.Index(fields=["tenant", "subject_ref"], condition=~Q(subject_ref=None), name="payload_by_subject"),
            models.Index(fields=["tenant", "finished_at"], name="payload_by_end"),
            models.Index(fields=["tenant", "ends_at"], condition=~Q(ends_at=None), name="payload_by_own_end"),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class Source(models.TextChoices):
    MESSAGE = "message", "Message"
    JOB = "job", "Background job"
    DECISION = "decision", "Decision request"


class LetterClass(models.TextChoices):
    TRANSIENT = "transient", "Transient"
    PERMANENT = "permanent", "Permanent"


class LetterState(models.TextChoices):
    OPEN = "open", "Open"
    REPLAYED = "replayed", "Replayed"
    PURGED = "purged", "Purged"


class DeadLetterQuerySet(TenantQuerySet["DeadLetter"]):
    def open(self) -> "DeadLetterQuerySet":
        """Neither replayed nor purged: these make the depth of a queue."""
        return self.filter(state=LetterState.OPEN)

    def replayable(self, now: datetime, most: int) -> "DeadLetterQuerySet":
        """Transient, not yet replayed `most` times, and rested long enough."""
        return self.open().filter(classification=LetterClass.TRANSIENT, replays__lt=most, replay_at__lte=now)

    def unarchived(self) -> "DeadLetterQuerySet":
        return self.open().filter(archived_at=None)


class DeadLetter(TenantModel):
    """Work that was given up. Its payload is under `source_ref`; nothing here is personal."""

    source = models.CharField(max_length=16, choices=Source.choices)
    source_ref = models.UUIDField(help_text="The message or job.")
    queue = models.CharField(max_length=32)
    topic = models.CharField(max_length=64, help_text="Topic of the message, or type of the job.")
    classification = models.CharField(max_length=16, choices=LetterClass.choices)
    error_type = models.CharField(max_length=64)
    attempts = models.PositiveIntegerField(default=0)
    replays = models.PositiveIntegerField(default=0, help_text="How often it was tried again.")
    state = models.CharField(max_length=16, choices=LetterState.choices, default=LetterState.OPEN)
    died_at = models.DateTimeField()
    replay_at = models.DateTimeField(help_text="Not to be replayed automatically before.")
    resolved_at = models.DateTimeField(null=True, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)
    archive_name = models.CharField(max_length=300, default="", blank=True)

    objects = TenantManager.from_queryset(DeadLetterQuerySet)()

    class Meta(TenantModel.Meta):
        indexes = [
            models.Index(fields=["tenant", "-died_at"], name="dlq_by_death"),
            models.Index(fields=["tenant", "queue"], condition=Q(state="open"), name="dlq_open"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "source", "source_ref"], name="dead_letter_once"),
            models.CheckConstraint(condition=Q(state__in=LetterState.values), name="dead_letter_state_known"),
            # Purge only after archive.
            models.CheckConstraint(
                condition=~Q(state="purged") | ~Q(archived_at=None), name="dead_letter_purged_means_archived"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.queue} {self.topic} {self.pk}"


class ArchiveKey(TenantModel):
    """The key of one archived payload. Deleting it, by erasure or retention, closes that payload in every copy."""

    letter_ref = models.UUIDField()
    subject_ref = models.UUIDField(null=True, blank=True, help_text="The customer it is about.")
    archive_name = models.CharField(max_length=300)
    key_sealed = models.BinaryField(editable=False)
    archived_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        indexes = [
            models.Index(fields=["tenant", "subject_ref"], condition=~Q(subject_ref=None), name="arckey_by_subject"),
            models.Index(fields=["tenant", "archived_at"], name="arckey_by_archival"),
            models.Index(fields=["tenant", "archive_name"], name="arckey_by_archive"),
        ]

    def __str__(self) -> str:
        return str(self.pk)
