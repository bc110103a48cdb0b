"""Objects in storage that no row owns: written down until storage confirms that they are gone."""

from datetime import datetime
from uuid import UUID

from django.db import models
from django.db.models import Q

from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class Cause(models.TextChoices):
    UPLOAD = "upload", "Upload whose row never came"
    PURGE = "purge", "Retention"
    ERASURE = "erasure", "Erasure of a person"


class ObjectRemovalQuerySet(TenantQuerySet["ObjectRemoval"]):
    def announced(self) -> "ObjectRemovalQuerySet":
        """Of uploads whose row may still come."""
        return self.filter(doomed_at=None)

    def abandoned(self, before: datetime) -> "ObjectRemovalQuerySet":
        """Of uploads that were announced before this moment and have no row yet."""
        return self.announced().filter(created_at__lt=before)

    def doomed(self) -> "ObjectRemovalQuerySet":
        """Still to be removed."""
        return self.filter(doomed_at__isnull=False, gone_at=None)

    def of(self, reference: UUID) -> "ObjectRemovalQuerySet":
        return self.filter(reference=reference)

    def oldest_first(self) -> "ObjectRemovalQuerySet":
        return self.order_by("pk")


class ObjectRemoval(TenantModel):
    """An object that must be confirmed gone. Written before an upload, whose row takes it away again, and with the
    deletion of a row that had one.

    One with a `reference` stays, without the name, as evidence for whoever that is; others go with their object.
    """

    object_name = models.CharField(max_length=255, blank=True, help_text="A random name; emptied with the object.")
    cause = models.CharField(max_length=16, choices=Cause.choices)
    reference = models.UUIDField(null=True, blank=True, help_text="The request that the erasure answers.")
    created_at = models.DateTimeField()
    doomed_at = models.DateTimeField(null=True, blank=True, help_text="Empty while an upload's row may still come.")
    gone_at = models.DateTimeField(null=True, blank=True, help_text="When storage confirmed it.")
    was_missing = models.BooleanField(null=True, help_text="It was gone before we asked. Empty until we looked.")
    failures = models.PositiveIntegerField(default=0)

    objects = TenantManager.from_queryset(ObjectRemovalQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "object removal"
        indexes = [
            models.Index(fields=["tenant", "id"], condition=Q(gone_at=None), name="removal_open"),
            models.Index(fields=["tenant", "object_name"], condition=Q(doomed_at=None), name="removal_by_name"),
            models.Index(fields=["tenant", "reference"], condition=~Q(reference=None), name="removal_by_reference"),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(doomed_at=None) | Q(cause="upload"), name="removal_only_uploads_wait"),
            models.CheckConstraint(
                condition=Q(gone_at=None) | Q(doomed_at__isnull=False, object_name=""), name="removal_gone_is_nameless"
            ),
        ]

    def __str__(self) -> str:
        return f"object removal {self.pk}"
