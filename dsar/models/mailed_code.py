"""What is known of the codes that were mailed to somebody."""

from django.db import models

from kaireon.tenancy.models import TenantModel


class MailedCode(TenantModel):
    """Of the code sent last only a keyed hash is kept. Wrong ones are counted over all codes together: resending gives
    no new tries.
    """

    code_hash = models.CharField(max_length=80, blank=True, default="", editable=False)
    sent_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Of the code sent last.")
    codes_sent = models.PositiveSmallIntegerField(default=0)
    wrong_codes = models.PositiveSmallIntegerField(default=0)

    class Meta(TenantModel.Meta):
        abstract = True
