"""How far the proof has come that the subject asks."""

from django.db import models

from dsar.models.mailed_code import MailedCode
from dsar.models.request import DsarRequest, Proof


class IdentityCheck(MailedCode):
    """What a request waits for before anything is done about it. Nothing in it names anybody."""

    request = models.ForeignKey(
        DsarRequest, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    asked = models.CharField(max_length=16, choices=Proof.choices, help_text="The method that was asked for.")

    class Meta(MailedCode.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "request"], name="identity_check_once")]

    def __str__(self) -> str:
        return f"identity check {self.pk}"
