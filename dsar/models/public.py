"""The page on which subjects ask without an account: whether a tenant has one, what came in there, who follows what."""

import json

from django.db import models

from dsar.models.mailed_code import MailedCode
from dsar.models.request import DsarRequest, RequestType
from kaireon.tenancy.keyring import open_text, seal_text
from kaireon.tenancy.models import TenantModel


class PublicPage(TenantModel):
    """The tenant's page. No row: it has none."""

    contact = models.CharField(
        max_length=500, blank=True, default="", help_text="How else to reach you about personal data. Shown to all."
    )
    language = models.CharField(max_length=8, default="en", help_text="For who reads none that the page speaks.")
    since = models.DateTimeField()

    class Meta(TenantModel.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant"], name="public_page_once")]

    def __str__(self) -> str:
        return "public page"


class PublicFiling(MailedCode):
    """What somebody asked for there, until their code has come back. What they wrote is sealed, and ends with it.

    Without a kind they asked for links to what they had asked for before: then there is no code, and nobody comes back.
    They come back with a secret of their browser, of which a hash is kept. `subject_ref` is our id of the customer
    who has the address, if one has; a worker looks that up, and nothing that is shown depends on it.
    """

    handle_hash = models.CharField(max_length=64, editable=False)
    request_type = models.CharField(max_length=16, choices=RequestType.choices, blank=True)
    regulation = models.CharField(max_length=16)
    sealed = models.BinaryField(editable=False)
    subject_ref = models.UUIDField(null=True, blank=True, editable=False)
    received_at = models.DateTimeField()
    codes_asked = models.PositiveSmallIntegerField(default=1)
    ends_at = models.DateTimeField(help_text="Nothing comes of it any more from here on.")

    class Meta(MailedCode.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "handle_hash"], name="public_filing_by_handle")]
        indexes = [
            models.Index(fields=["tenant", "subject_ref"], name="public_filing_by_subject"),
            models.Index(fields=["tenant", "ends_at"], name="public_filing_by_end"),
        ]

    def __str__(self) -> str:
        return f"filing {self.pk}"

    @property
    def said(self) -> dict[str, str]:
        """`{address, number, details, language}`. Personal."""
        said: dict[str, str] = json.loads(open_text(bytes(self.sealed), context=self._sealing_context))
        # What was sent before the page spoke several has none.
        return {"language": "", **said}

    def seal(self, *, address: str, number: str = "", details: str = "", language: str = "") -> None:
        said = {"address": address, "number": number, "details": details, "language": language}
        self.sealed = seal_text(json.dumps(said), context=self._sealing_context)

    @property
    def _sealing_context(self) -> str:
        return f"dsar-public:{self.tenant_id}:{self.pk}"


class FollowLink(MailedCode):
    """A way by which a subject follows a request of theirs; its codes are for fetching the package.

    Of the secret in the link a hash is kept, and nothing in here names anybody. Who lost one gets another beside it: so
    nobody who only knows an address ends what its owner has.
    """

    request = models.ForeignKey(
        DsarRequest, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    token_hash = models.CharField(max_length=64, editable=False)
    made_at = models.DateTimeField()
    ends_at = models.DateTimeField()

    class Meta(MailedCode.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "token_hash"], name="follow_link_by_token"),
        ]
        indexes = [
            models.Index(fields=["tenant", "request"], name="follow_link_by_request"),
            models.Index(fields=["tenant", "ends_at"], name="follow_link_by_end"),
        ]

    def __str__(self) -> str:
        return f"link {self.pk}"
