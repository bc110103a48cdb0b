"""Letters to the subject of a request: what was written when, what each says, and how a tenant wants them."""

import json

from django.db import models
from django.db.models import Q

from dsar.models.request import DsarRequest
from kaireon.tenancy.keyring import open_text, seal_text
from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class LetterKind(models.TextChoices):
    ACKNOWLEDGEMENT = "acknowledgement", "Acknowledgement"
    DUPLICATE = "duplicate", "Answered with an earlier request"
    EXTENSION = "extension", "Extension of the time"
    REFUSAL = "refusal", "Refusal"
    DEFERRAL = "deferral", "Done in part, the rest later"
    COMPLETION = "completion", "Completion"
    WITHDRAWAL = "withdrawal", "Withdrawal confirmed"


# The text of these outlives the person's other data, and goes when it is sent.
ANSWERS_TO_ERASURE: tuple[LetterKind, ...] = (LetterKind.DEFERRAL, LetterKind.COMPLETION)


class LetterState(models.TextChoices):
    KEPT = "kept", "Address kept for the answer"
    WAITING = "waiting", "Waiting to be sent"
    SENT = "sent", "Sent"
    FAILED = "failed", "Failed"
    NOT_POSSIBLE = "not_possible", "To be sent by other means"
    SENT_OTHERWISE = "sent_otherwise", "Sent by other means"
    DROPPED = "dropped", "Not needed any more"


class LetterQuerySet(TenantQuerySet["Letter"]):
    def of(self, request: DsarRequest) -> "LetterQuerySet":
        """The request's letters, oldest first; an address that is only kept is none."""
        return self.filter(request=request).exclude(state=LetterState.KEPT).order_by("written_at", "id")

    def wanting_somebody(self) -> "LetterQuerySet":
        """Those that do not reach the subject unless a person does something."""
        return self.filter(state__in=[LetterState.FAILED, LetterState.NOT_POSSIBLE])


class Letter(TenantModel):
    """One letter about one event of a request. Its id is its Message-ID. What it says stands in a LetterText.

    Nothing here names anybody, so it stays with the request when the person is erased.
    """

    request = models.ForeignKey(
        DsarRequest, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    kind = models.CharField(max_length=16, choices=LetterKind.choices)
    # What is deferred twice is told twice.
    number = models.PositiveSmallIntegerField(default=1)
    language = models.CharField(max_length=8)
    template_version = models.PositiveIntegerField(default=0, help_text="Of the tenant's own words; 0: the product's.")
    state = models.CharField(max_length=16, choices=LetterState.choices, default=LetterState.WAITING)
    error = models.CharField(max_length=64, blank=True, default="", help_text="Why it was not sent.")
    tries = models.PositiveSmallIntegerField(default=0, help_text="How often the mail server said: later.")
    written_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True, help_text="When it was sent, or given up.")
    job_ref = models.UUIDField(null=True, blank=True, editable=False)

    objects = TenantManager.from_queryset(LetterQuerySet)()

    class Meta(TenantModel.Meta):
        constraints = [
            # However often a worker dies, an event has one letter.
            models.UniqueConstraint(fields=["tenant", "request", "kind", "number"], name="letter_once"),
            models.CheckConstraint(condition=Q(kind__in=LetterKind.values), name="letter_kind_known"),
            models.CheckConstraint(condition=Q(state__in=LetterState.values), name="letter_state_known"),
        ]
        indexes = [
            models.Index(fields=["tenant", "state"], name="letter_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} letter {self.pk}"


class LetterText(TenantModel):
    """To whom a letter goes and what it says, sealed, under the id of the letter. Erasure and retention delete it
    alone; of a person who was erased it goes as soon as the last letter is sent.
    """

    sealed = models.BinaryField(editable=False)
    customer_ref = models.UUIDField(null=True, blank=True, editable=False)
    settled_at = models.DateTimeField(null=True, blank=True, help_text="Retention counts from here.")

    class Meta(TenantModel.Meta):
        indexes = [
            models.Index(fields=["tenant", "customer_ref"], name="letter_text_by_customer"),
            models.Index(fields=["tenant", "settled_at"], name="letter_text_by_end"),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def content(self) -> dict[str, str]:
        """`to`, `subject`, `text`, and `evidence` of one that was sent by other means. Personal."""
        opened: dict[str, str] = json.loads(open_text(bytes(self.sealed), context=self._context))
        return opened

    @content.setter
    def content(self, value: dict[str, str]) -> None:
        self.sealed = seal_text(json.dumps(value), context=self._context)

    @property
    def _context(self) -> str:
        return f"dsar-letter:{self.tenant_id}:{self.pk}"


class LetterSettings(TenantModel):
    """How a tenant writes to subjects; one row at most. No row: nothing is written by itself."""

    automatic = models.BooleanField(default=False, help_text="Letters are written and sent by themselves.")
    language = models.CharField(max_length=8, default="en", help_text="Where the subject's is not known.")
    sender = models.CharField(max_length=254, blank=True, default="", help_text="Empty: that of the destination.")
    contact = models.CharField(max_length=300, blank=True, default="", help_text="Whom the subject can turn to.")
    authority = models.CharField(max_length=300, blank=True, default="", help_text="To whom they can complain.")
    handover = models.CharField(max_length=300, blank=True, default="", help_text="How a package is handed over.")
    changed_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        verbose_name_plural = "letter settings"
        constraints = [models.UniqueConstraint(fields=["tenant"], name="letter_settings_once")]

    def __str__(self) -> str:
        return "letters on" if self.automatic else "letters off"


class LetterTemplate(TenantModel):
    """A tenant's own words for one kind of letter in one language: one version of them. The newest counts; one without
    a body says it in the product's words again.
    """

    kind = models.CharField(max_length=16, choices=LetterKind.choices)
    language = models.CharField(max_length=8)
    subject = models.CharField(max_length=150, blank=True, default="")
    body = models.TextField(blank=True, default="")
    version = models.PositiveIntegerField(default=1)
    written_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "kind", "language", "version"], name="letter_template_once")
        ]

    def __str__(self) -> str:
        return f"{self.kind} in {self.language}, version {self.version}"
