"""What says, signed, that an erasure was carried out."""

from django.db import models

from dsar.models.request import DsarRequest
from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class CertificateQuerySet(TenantQuerySet["Certificate"]):
    def of(self, request: DsarRequest) -> "CertificateQuerySet":
        return self.filter(request=request)


class Certificate(TenantModel):
    """The certificate of one erasure: written once, and the same bytes for ever. The database refuses every change.

    It names nobody: the subject stands in it by the pseudonym that the request has after the erasure.
    """

    request = models.ForeignKey(
        DsarRequest, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    content = models.BinaryField(editable=False, help_text="Canonical JSON; docs/evidence.md has its form.")
    sha256 = models.CharField(max_length=64, help_text="Of the content.")
    key_id = models.CharField(max_length=8, help_text="Of the log's key that signed it.")
    tree_size = models.BigIntegerField(help_text="Records under the checkpoint in it.")
    issued_at = models.DateTimeField()

    objects = TenantManager.from_queryset(CertificateQuerySet)()

    class Meta(TenantModel.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "request"], name="certificate_once")]

    def __str__(self) -> str:
        return f"certificate {self.pk}"
