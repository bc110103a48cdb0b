"""The log and the two tables it grows through. Rows come from triggers and the sequencer only."""

from datetime import datetime

from django.db import models
from django.db.models import Q

from kaireon.lib.ids import uuid7
from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class ActorType(models.TextChoices):
    USER = "user", "Member"
    API_KEY = "api_key", "API key"
    JOB = "job", "Job"
    SYSTEM = "system", "System"


class AuditRecordQuerySet(TenantQuerySet["AuditRecord"]):
    def newest_first(self) -> "AuditRecordQuerySet":
        return self.order_by("-seq")

    def about(self, entity_type: str, entity_id: str) -> "AuditRecordQuerySet":
        return self.filter(entity_type=entity_type, entity_id=entity_id)


class AuditRecord(TenantModel):
    """One thing that happened. The table sees INSERT by the sequencer and nothing else, ever."""

    seq = models.BigIntegerField()
    action = models.TextField()
    entity_type = models.TextField()
    entity_id = models.TextField()
    entity_name = models.TextField(null=True)
    changes = models.JSONField(null=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    entity_version = models.BigIntegerField(null=True)
    user_id = models.TextField(null=True)
    user_name = models.TextField()
    actor_type = models.TextField(choices=ActorType.choices)
    request_id = models.TextField(null=True)
    timestamp = models.DateTimeField()
    integrity_hash = models.CharField(max_length=64)
    prev_hash = models.CharField(max_length=64)
    leaf_hash = models.CharField(max_length=64)

    objects = TenantManager.from_queryset(AuditRecordQuerySet)()

    class Meta(TenantModel.Meta):
        db_table = "audit_record"
        verbose_name = "audit record"
        constraints = [models.UniqueConstraint(fields=["tenant", "seq"], name="audit_record_seq")]
        indexes = [
            models.Index(fields=["tenant", "entity_type", "entity_id", "seq"], name="audit_record_entity"),
            # For the gauge that tells when each log was last verified.
            models.Index(fields=["tenant", "-seq"], condition=Q(action="audit_log.verify"), name="audit_verifications"),
        ]

    def __str__(self) -> str:
        return f"#{self.seq} {self.action} {self.entity_type}"


class AuditInbox(models.Model):
    """What was recorded and not yet sequenced; written by trigger functions in the change's own transaction."""

    pk = models.CompositePrimaryKey("tenant_id", "id")
    tenant_id = models.TextField()
    id = models.BigIntegerField()
    operation = models.CharField(max_length=1)
    action = models.TextField()
    entity_type = models.TextField()
    entity_id = models.TextField()
    entity_name = models.TextField(null=True)
    changes = models.JSONField(null=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    # Names of the columns to seal, and of the one that holds whose they are; see audit.capture.triggers.
    personal = models.TextField(null=True)
    subject = models.TextField(null=True)
    user_id = models.TextField(null=True)
    user_name = models.TextField()
    actor_type = models.TextField()
    request_id = models.TextField(null=True)
    timestamp = models.DateTimeField()

    class Meta:
        db_table = "audit_inbox"

    def __str__(self) -> str:
        return f"{self.action} {self.entity_type}, not yet sequenced"


class AuditHead(models.Model):
    """Where a tenant's chain ends: the next record links to this hash."""

    tenant_id = models.TextField(primary_key=True)
    seq = models.BigIntegerField(default=0)
    integrity_hash = models.CharField(max_length=64)

    class Meta:
        db_table = "audit_head"

    def __str__(self) -> str:
        return f"{self.tenant_id} at {self.seq}"


class Tile(models.Model):
    """Up to 256 hashes of a tenant's tree side by side, see audit.tree.tiles. It grows at its end alone."""

    pk = models.CompositePrimaryKey("tenant_id", "level", "index")
    tenant_id = models.TextField()
    level = models.SmallIntegerField()
    index = models.BigIntegerField()
    hashes = models.BinaryField()

    class Meta:
        db_table = "audit_tile"

    def __str__(self) -> str:
        return f"tile {self.index} of level {self.level}"


class SigningKey(models.Model):
    """An Ed25519 key that signs a log's checkpoints. The newest version signs; all stay to be checked against."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant_id = models.TextField()
    version = models.IntegerField()
    # The log's origin, which is the key's name in its signatures.
    name = models.TextField()
    public_key = models.BinaryField()
    private_sealed = models.BinaryField()
    # [{by, signature}]: the key before says that this one is next, and this one that it is held.
    cross_signatures = models.JSONField(default=list)
    created_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "audit_signingkey"
        constraints = [models.UniqueConstraint(fields=["tenant_id", "version"], name="audit_signingkey_version")]

    def __str__(self) -> str:
        return f"{self.name}, version {self.version}"


class Arrival(models.Model):
    """That an event recorded outside any transaction has arrived, so that none does twice. Kept for a month."""

    pk = models.CompositePrimaryKey("tenant_id", "event_id")
    tenant_id = models.TextField()
    event_id = models.UUIDField()
    arrived_at = models.DateTimeField()

    class Meta:
        db_table = "audit_arrival"
        indexes = [models.Index(fields=["arrived_at"], name="audit_arrival_age")]

    def __str__(self) -> str:
        return f"arrival of {self.event_id}"


class Checkpoint(models.Model):
    """What the log committed to: the root of its first `tree_size` records, signed. Never changed, never deleted."""

    pk = models.CompositePrimaryKey("tenant_id", "tree_size")
    tenant_id = models.TextField()
    tree_size = models.BigIntegerField()
    root_hash = models.CharField(max_length=64)
    key_version = models.IntegerField()
    note = models.TextField()
    signed_at = models.DateTimeField()

    class Meta:
        db_table = "audit_checkpoint"

    def __str__(self) -> str:
        return f"checkpoint of {self.tree_size} records"


class ExportStatus(models.TextChoices):
    QUEUED = "queued", "Queued"
    PROCESSING = "processing", "Processing"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"


class AuditExportQuerySet(TenantQuerySet["AuditExport"]):
    def newest_first(self) -> "AuditExportQuerySet":
        return self.order_by("-created_at", "-pk")

    def open(self) -> "AuditExportQuerySet":
        return self.filter(status__in=[ExportStatus.QUEUED, ExportStatus.PROCESSING])

    def expired(self, now: datetime) -> "AuditExportQuerySet":
        """Whose time is over and whose file may still be there."""
        return self.filter(expires_at__lte=now).exclude(object_name=None)


class AuditExport(TenantModel):
    """A file of the log that somebody asked for: what of, by whom, how far it is, and what it came to.

    `object_name` is set together with the status `completed`: before that nothing can be downloaded.
    """

    format = models.CharField(max_length=8)
    since = models.DateTimeField(null=True, blank=True)
    until = models.DateTimeField(null=True, blank=True)
    entity_type = models.TextField(default="", blank=True)
    action = models.TextField(default="", blank=True)
    status = models.CharField(max_length=16, choices=ExportStatus.choices, default=ExportStatus.QUEUED)
    requested_by = models.TextField(default="", blank=True)
    requested_by_name = models.TextField()
    first_seq = models.BigIntegerField(null=True, blank=True)
    last_seq = models.BigIntegerField(null=True, blank=True)
    records = models.BigIntegerField(null=True, blank=True)
    size = models.BigIntegerField(null=True, blank=True, help_text="Of the file, in bytes.")
    sha256 = models.CharField(max_length=64, default="", blank=True)
    manifest = models.JSONField(null=True, blank=True)
    object_name = models.CharField(max_length=300, null=True, blank=True, editable=False)
    error = models.CharField(max_length=64, default="", blank=True, help_text="Reason code.")
    job_ref = models.UUIDField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(AuditExportQuerySet)()

    class Meta(TenantModel.Meta):
        db_table = "audit_export"
        verbose_name = "audit export"
        indexes = [models.Index(fields=["tenant", "-created_at"], name="audit_export_newest")]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=ExportStatus.values), name="audit_export_status_known"),
            models.CheckConstraint(
                condition=Q(object_name=None) | Q(status="completed"), name="audit_export_file_means_completed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.format} export {self.pk}"


class Channel(models.TextChoices):
    STORAGE = "storage", "Object in storage"
    WEBHOOK = "webhook", "The operator's webhook"
    DESTINATION = "destination", "The tenant's destination"


class Publication(models.Model):
    """That a checkpoint left the database by this channel, and when. Of an object, under which name; else, its id."""

    pk = models.CompositePrimaryKey("tenant_id", "tree_size", "channel")
    tenant_id = models.TextField()
    tree_size = models.BigIntegerField()
    channel = models.CharField(max_length=16, choices=Channel.choices)
    object_name = models.TextField()
    published_at = models.DateTimeField()

    class Meta:
        db_table = "audit_publication"

    def __str__(self) -> str:
        return f"publication of checkpoint {self.tree_size}"


class Cosignature(models.Model):
    """A witness's line under a checkpoint: it saw this log grow to here and never otherwise. Never changed."""

    pk = models.CompositePrimaryKey("tenant_id", "tree_size", "witness", "key_id")
    tenant_id = models.TextField()
    tree_size = models.BigIntegerField()
    # The witness's name, and its key as it was pinned when it signed.
    witness = models.TextField()
    key_id = models.CharField(max_length=8)
    public_key = models.BinaryField()
    line = models.TextField()
    cosigned_at = models.DateTimeField()

    class Meta:
        db_table = "audit_cosignature"

    def __str__(self) -> str:
        return f"{self.witness} on checkpoint {self.tree_size}"


class WitnessedLog(models.Model):
    """Of somebody's log that we are a witness of: the checkpoint that we cosigned last. It only ever grows."""

    origin = models.TextField(primary_key=True)
    tree_size = models.BigIntegerField()
    root_hash = models.CharField(max_length=64)
    note = models.TextField()
    cosigned_at = models.DateTimeField()

    class Meta:
        db_table = "audit_witnessedlog"

    def __str__(self) -> str:
        return f"{self.origin} at {self.tree_size}"


class Tombstone(models.Model):
    """That a whole prefix of the log was removed, by which policy and whose yes, and where it lies. Signed as `note`.

    Written with the removal, by the function that removes, and never again changed; the columns repeat the note.
    """

    pk = models.CompositePrimaryKey("tenant_id", "last_seq")
    tenant_id = models.TextField()
    first_seq = models.BigIntegerField()
    last_seq = models.BigIntegerField()
    records = models.BigIntegerField()
    # Of the tree of the first `last_seq` records, as the checkpoint of that size has it.
    root_hash = models.CharField(max_length=64)
    # What the first kept record links to.
    last_integrity_hash = models.CharField(max_length=64)
    oldest = models.DateTimeField()
    newest = models.DateTimeField()
    policy = models.JSONField()
    # Who asked and who agreed, by id and name.
    approval = models.JSONField()
    approval_id = models.UUIDField()
    archive_name = models.TextField()
    archive_sha256 = models.CharField(max_length=64)
    pruned_at = models.DateTimeField()
    note = models.TextField()

    class Meta:
        db_table = "audit_tombstone"
        constraints = [
            # One yes removes one prefix.
            models.UniqueConstraint(fields=["tenant_id", "approval_id"], name="audit_tombstone_approval"),
        ]

    def __str__(self) -> str:
        return f"tombstone of records {self.first_seq} to {self.last_seq}"


class VerificationKind(models.TextChoices):
    FULL = "full", "The whole log"
    SINCE_LAST = "since_last", "What came since the last verified point"


class VerificationState(models.TextChoices):
    RUNNING = "running", "Not finished"
    INTACT = "intact", "Intact"
    BROKEN = "broken", "Broken"
    ABANDONED = "abandoned", "Abandoned"


class VerificationRunQuerySet(TenantQuerySet["VerificationRun"]):
    def newest_first(self) -> "VerificationRunQuerySet":
        return self.order_by("-started_at")

    def finished(self) -> "VerificationRunQuerySet":
        return self.filter(state__in=[VerificationState.INTACT, VerificationState.BROKEN])


class VerificationRun(TenantModel):
    """One verification of a log: what it covers, how far it came, what it found. Written by audit.verification.runs.

    `reached_seq` of `until_seq` records is the progress; a run that is `running` and not updated for a while was
    interrupted and is resumed by the next one of its kind. `broken_at_id`, `broken_at_seq` and `broken_reason` name the
    first fault. An intact result is bound to the signed checkpoint `checkpoint_note`: the first `checkpoint_size`
    records have the root that it signs. `point_sealed` holds what a later run starts from; it is sealed under the
    tenant's key, so whoever has the database alone can take it away, but not make one up.
    """

    kind = models.TextField(choices=VerificationKind.choices)
    state = models.TextField(choices=VerificationState.choices, default=VerificationState.RUNNING)
    asked_by = models.TextField()
    started_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    # The first record that the run reads, the last it is to read, the last it has read.
    first_seq = models.BigIntegerField(default=1)
    until_seq = models.BigIntegerField(default=0)
    reached_seq = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    scanned = models.BigIntegerField(default=0)
    verified = models.BigIntegerField(default=0)
    broken_reason = models.TextField(null=True)
    broken_at_seq = models.BigIntegerField(null=True)
    broken_at_id = models.TextField(null=True)
    checkpoint_size = models.BigIntegerField(default=0)
    checkpoint_note = models.TextField(default="")
    point_sealed = models.BinaryField(null=True)

    objects = TenantManager.from_queryset(VerificationRunQuerySet)()

    class Meta(TenantModel.Meta):
        db_table = "audit_verificationrun"
        indexes = [models.Index(fields=["tenant", "-started_at"], name="audit_runs_newest")]
        constraints = [
            models.UniqueConstraint(fields=["tenant"], condition=Q(state="running"), name="audit_run_at_a_time")
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.get_state_display()}"

    @property
    def percent(self) -> int:
        """How much of what it is to read was read, 0 to 100."""
        if self.state in (VerificationState.INTACT, VerificationState.BROKEN):
            return 100
        whole = self.until_seq - self.first_seq + 1
        return min(99, 100 * max(0, self.reached_seq - self.first_seq + 1) // whole) if whole > 0 else 0


class TenantKey(models.Model):
    """A log's key that wraps its subjects' keys, itself sealed under SEALING_KEYS. The newest version wraps.

    A retired one wraps nothing any more and is forgotten.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant_id = models.TextField()
    version = models.IntegerField()
    key_sealed = models.BinaryField(null=True)
    created_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "audit_tenantkey"
        constraints = [models.UniqueConstraint(fields=["tenant_id", "version"], name="audit_tenantkey_version")]

    def __str__(self) -> str:
        return f"{self.tenant_id}, version {self.version}"


class SubjectKey(models.Model):
    """What a subject's personal values in the log are sealed under. Destroyed, the row stays and the key does not."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant_id = models.TextField()
    # Our opaque id: a customer's uuid, in the platform's log a user's number.
    subject_id = models.TextField()
    key_version = models.IntegerField()
    key_wrapped = models.BinaryField(null=True)
    created_at = models.DateTimeField()
    destroyed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "audit_subjectkey"
        constraints = [models.UniqueConstraint(fields=["tenant_id", "subject_id"], name="audit_subjectkey_subject")]
        indexes = [models.Index(fields=["tenant_id", "key_version"], name="audit_subjectkey_to_rewrap")]

    def __str__(self) -> str:
        return f"key of {self.subject_id}"
