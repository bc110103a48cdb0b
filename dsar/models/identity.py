"""How far the proof has come that the subject asks."""

from django.db import models

from dsar.models.request import DsarRequest, Proof
from kaireon.tenancy.models import TenantModel


class IdentityCheck(TenantModel):
    """What a request waits for before anything is done about it. Nothing in it names anybody.

    Of a code only a keyed hash is kept. Wrong codes are counted over all codes together: resending gives no new tries.
    """

    request = models.ForeignKey(
        DsarRequest, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    asked = models.CharField(max_length=16, choices=Proof.choices, help_text="The method that was asked for.")
    code_hash = models.CharField(max_length=80, blank=True, default="", editable=False)
    sent_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Of the code sent last.")
    codes_sent = models.PositiveSmallIntegerField(default=0)
    wrong_codes = models.PositiveSmallIntegerField(default=0)

    class Meta(TenantModel.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "request"], name="identity_check_once")]

    def __str__(self) -> str:
        return f"identity check {self.pk}"
