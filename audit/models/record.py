"""The log and the two tables it grows through. Rows come from triggers and the sequencer only."""

from django.db import models
from django.db.models import Q

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
