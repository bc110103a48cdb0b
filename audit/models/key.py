"""The keys of a log: those that sign, and those that personal values are sealed under."""

from django.db import models

from kaireon.lib.ids import uuid7


class LogKey(models.Model):
    """One key of a log in a row of versions: the newest is in use, those before it are retired."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant_id = models.TextField()
    version = models.IntegerField()
    created_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True
        constraints = [models.UniqueConstraint(fields=["tenant_id", "version"], name="%(app_label)s_%(class)s_version")]


class SigningKey(LogKey):
    """An Ed25519 key that signs a log's checkpoints. The newest version signs; all stay to be checked against."""

    # The log's origin, which is the key's name in its signatures.
    name = models.TextField()
    public_key = models.BinaryField()
    private_sealed = models.BinaryField()
    # [{by, signature}]: the key before says that this one is next, and this one that it is held.
    cross_signatures = models.JSONField(default=list)

    class Meta(LogKey.Meta):
        db_table = "audit_signingkey"

    def __str__(self) -> str:
        return f"{self.name}, version {self.version}"


class TenantKey(LogKey):
    """A log's key that wraps its subjects' keys, itself sealed under SEALING_KEYS. The newest version wraps.

    A retired one wraps nothing any more and is forgotten.
    """

    key_sealed = models.BinaryField(null=True)

    class Meta(LogKey.Meta):
        db_table = "audit_tenantkey"

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
