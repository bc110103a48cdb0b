"""The package that answers a request for access."""

import secrets
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Q

from dsar.models.request import DsarRequest
from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


def object_name(dossier: Any, _filename: str = "") -> str:
    """A random name inside the tenant's folder: nothing of whom it is about is in it."""
    token = secrets.token_hex(16)
    return f"dossiers/{dossier.tenant_id}/{token[:2]}/{token}"


class DossierQuerySet(TenantQuerySet["Dossier"]):
    def fresh(self, now: datetime) -> "DossierQuerySet":
        return self.filter(expires_at__gt=now)

    def expired(self, now: datetime) -> "DossierQuerySet":
        return self.filter(expires_at__lte=now)


class Dossier(TenantModel):
    """The package that answers one export request, sealed under a data key of its own. Derived, and it expires.

    What is sealed stands in `sealed`, or, where it is large, in an object whose name is `file`; its data key in
    `key_wrapped`, wrapped by the keyring. Those of earlier versions have all in `sealed`, the key before the rest.
    """

    request = models.ForeignKey(
        DsarRequest, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    customer_ref = models.UUIDField(null=True, editable=False)
    key_wrapped = models.BinaryField(null=True, editable=False)
    sealed = models.BinaryField(editable=False)
    file = models.FileField(upload_to=object_name, max_length=255, blank=True, editable=False)
    sha256 = models.CharField(max_length=64, help_text="Of the package before sealing.")
    size = models.BigIntegerField(help_text="Bytes before sealing.")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    objects = TenantManager.from_queryset(DossierQuerySet)()

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "request"], name="dossier_once"),
            models.CheckConstraint(
                condition=(Q(file="") & ~Q(sealed=b"")) | (~Q(file="") & Q(sealed=b"", key_wrapped__isnull=False)),
                name="dossier_is_somewhere",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "customer_ref"], name="dossier_by_customer"),
            models.Index(fields=["tenant", "expires_at"], name="dossier_by_expiry"),
        ]

    def __str__(self) -> str:
        return f"dossier {self.pk}"

    @property
    def sealing_context(self) -> str:
        return f"dossier:{self.tenant_id}:{self.pk}"
