"""What a subject asked for."""

import json
import re
from datetime import date
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.db.models.functions import Cast

from kaireon.tenancy.keyring import open_text, seal_text
from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel

_REFERENCE = re.compile(r"[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}")


class RequestType(models.TextChoices):
    EXPORT = "export", "Export"
    DELETE = "delete", "Erasure"
    PORTABILITY = "portability", "Portability"
    RECTIFICATION = "rectification", "Rectification"
    RESTRICTION = "restriction", "Restriction of processing"
    OBJECTION = "objection", "Objection"
    OPT_OUT = "opt_out", "Opt-out"
    GRIEVANCE = "grievance", "Grievance"


class SubjectType(models.TextChoices):
    CUSTOMER_ID = "customer_id", "Customer number"
    EMAIL = "email", "E-mail"


class Status(models.TextChoices):
    QUEUED = "queued", "Queued"
    PROCESSING = "processing", "Processing"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"


class State(models.TextChoices):
    IDENTITY = "identity", "Waiting for proof of identity"
    APPROVAL = "approval", "Waiting for a second person"
    WINDOW = "window", "Waiting, and can still be cancelled"
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    FINISHING = "finishing", "Rows erased, removing stored files"
    REVIEW = "review", "In review"
    DEFERRED = "deferred", "Deferred while something must stay"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"


# The finer state decides the status that callers see.
STATUS_OF: dict[State, Status] = {
    State.IDENTITY: Status.QUEUED,
    State.APPROVAL: Status.QUEUED,
    State.WINDOW: Status.QUEUED,
    State.QUEUED: Status.QUEUED,
    State.RUNNING: Status.PROCESSING,
    State.FINISHING: Status.PROCESSING,
    State.REVIEW: Status.PROCESSING,
    State.DEFERRED: Status.PROCESSING,
    State.COMPLETED: Status.COMPLETED,
    State.FAILED: Status.FAILED,
}


class Outcome(models.TextChoices):
    NONE = "", "-"
    COMPLETED = "completed", "Completed"
    PARTIALLY_COMPLETED = "partially_completed", "Partially completed"
    NO_DATA = "no_data", "No data about this subject"
    REJECTED = "rejected", "Rejected"
    WITHDRAWN = "withdrawn", "Withdrawn by the subject"
    DUPLICATE = "duplicate", "Answered by another request"


class Proof(models.TextChoices):
    """How it was made sure that the subject asks. What was seen or said is sealed in the request's notes."""

    NONE = "", "-"
    CODE = "code", "A code sent to the subject's address"
    EVIDENCE = "evidence", "Evidence that an officer saw"
    VOUCHED = "vouched", "An officer vouches"


class DsarRequestQuerySet(TenantQuerySet["DsarRequest"]):
    def open(self) -> "DsarRequestQuerySet":
        """Not answered yet. A failed one is open too: the law's clock runs on."""
        return self.exclude(status=Status.COMPLETED)

    def unanswered(self) -> "DsarRequestQuerySet":
        """Open, and the subject has no answer: a deferred erasure has given one, and no deadline runs for it."""
        return self.open().filter(answered_at=None)

    def due_before(self, day: date) -> "DsarRequestQuerySet":
        """Late on this day. Never one whose clock stands."""
        return self.filter(deadline_on__lt=day)

    def newest_first(self) -> "DsarRequestQuerySet":
        return self.order_by("-requested_at", "-id")

    def asked_under(self, keys: list[str]) -> "DsarRequestQuerySet":
        """Those whose subject was named by one of these keys; see dsar/requests/subjects.py."""
        return self.filter(subject_key__in=keys)

    def called(self, reference: str) -> "DsarRequestQuerySet":
        """Those that people call by this reference, as it is shown or without its dash; none for other words."""
        if _REFERENCE.fullmatch(given := reference.strip()) is None:
            return self.none()
        return self.alias(id_text=Cast("id", models.TextField())).filter(
            id_text__endswith=given.replace("-", "").lower()
        )

    def waiting_for(self, request: "DsarRequest") -> "DsarRequestQuerySet":
        """Open duplicates of this one, which its answer answers too; those that came first at the top."""
        return self.open().filter(duplicate_of=request.pk).order_by("received_at", "requested_at", "id")


# Who files anew what a restored database forgot; see dsar/restoring.
REPEATED_BY = "restore-check"

# What takes the person out of a request: `update(**SHREDDED, pseudonym=…)`.
SHREDDED: dict[str, str | None] = {"subject_sealed": None, "subject_key": "", "notes_sealed": None}


class DsarRequest(TenantModel):
    """What a subject asked for. Who it is stands sealed; after an erasure only a keyed pseudonym is left.

    `customer_ref` is our opaque id of the customer and no reference: the request outlives the customer.
    """

    request_type = models.CharField(max_length=16, choices=RequestType.choices)
    subject_type = models.CharField(max_length=16, choices=SubjectType.choices, default=SubjectType.CUSTOMER_ID)
    subject_sealed = models.BinaryField(null=True, editable=False)
    subject_key = models.CharField(max_length=80, blank=True, default="", editable=False)
    pseudonym = models.CharField(max_length=80, blank=True, default="", editable=False)
    customer_ref = models.UUIDField(null=True, blank=True, editable=False)
    regulation = models.CharField(max_length=16)
    received_at = models.DateTimeField(help_text="When it reached you: the clock starts here.")
    due_on = models.DateField(help_text="The last day in time as the law gives it at receipt. It never moves.")
    deadline_on = models.DateField(
        "deadline",
        null=True,
        blank=True,
        help_text="The last day in time after extension and pauses, in your time zone; none while the clock stands.",
    )
    extended_at = models.DateTimeField(null=True, blank=True)
    extended_by = models.CharField(max_length=64, blank=True, default="", editable=False)
    # What the dates were counted with at receipt: time zone, version of the law, working days. See requests/clocks.py.
    clock_terms = models.JSONField(default=dict, blank=True, editable=False)
    requested_at = models.DateTimeField()
    requested_by = models.CharField(max_length=64)
    requested_by_name = models.CharField(max_length=200, blank=True, default="")
    encrypt = models.BooleanField(default=False, help_text="Answer with an encrypted package.")
    language = models.CharField(max_length=35, blank=True, default="", help_text="Of the letters; BCP 47.")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    state = models.CharField(max_length=24, choices=State.choices, default=State.QUEUED)
    outcome = models.CharField(max_length=24, choices=Outcome.choices, blank=True, default=Outcome.NONE)
    error = models.CharField(max_length=64, blank=True, default="", help_text="Reason code of a failure.")
    identity_method = models.CharField(
        "identity", max_length=16, choices=Proof.choices, blank=True, default=Proof.NONE, editable=False
    )
    identity_proved_at = models.DateTimeField(null=True, blank=True, editable=False)
    duplicate_of = models.UUIDField(
        null=True,
        blank=True,
        editable=False,
        help_text="The request of the same subject whose answer answers this one.",
    )
    ground = models.CharField(max_length=32, blank=True, default="", help_text="Why it was rejected.")
    article = models.CharField(max_length=80, blank=True, default="", help_text="Where the law allows that.")
    assigned_to = models.CharField(max_length=64, blank=True, default="", editable=False)
    assigned_name = models.CharField("assigned to", max_length=200, blank=True, default="")
    notes_sealed = models.BinaryField(null=True, editable=False)
    counts = models.JSONField(default=dict, blank=True, help_text="Rows exported or erased, by name.")
    retained = models.JSONField(default=list, blank=True, help_text="What was kept, on which ground, until when.")
    started_at = models.DateTimeField(null=True, blank=True)
    erased_at = models.DateTimeField(null=True, blank=True, help_text="When the rows were erased.")
    answered_at = models.DateTimeField(
        null=True, blank=True, help_text="When an erasure was answered; what it had to leave may go later."
    )
    closed_at = models.DateTimeField(null=True, blank=True, help_text="Retention counts from here.")
    package_expires_at = models.DateTimeField(null=True, blank=True)
    job_ref = models.UUIDField(null=True, blank=True, editable=False)

    objects = TenantManager.from_queryset(DsarRequestQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "subject request"
        indexes = [
            models.Index(fields=["tenant", "-requested_at"], name="dsar_newest"),
            models.Index(fields=["tenant", "status", "deadline_on"], name="dsar_by_status"),
            models.Index(fields=["tenant", "customer_ref"], name="dsar_by_customer"),
            models.Index(fields=["tenant", "subject_key"], name="dsar_by_subject_key"),
            models.Index(fields=["tenant", "closed_at"], name="dsar_by_closing"),
            models.Index(
                fields=["tenant", "duplicate_of"], condition=Q(duplicate_of__isnull=False), name="dsar_by_first"
            ),
            # For the gauges, across tenants.
            models.Index(
                fields=["status", "tenant", "deadline_on", "received_at"],
                condition=~Q(status="completed"),
                name="dsar_unanswered",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    *[Q(state=state, status=status) for state, status in STATUS_OF.items()],
                    _connector=Q.OR,
                ),
                name="dsar_state_fits_status",
            ),
            models.CheckConstraint(
                condition=Q(subject_sealed__isnull=False) | ~Q(pseudonym=""), name="dsar_subject_or_pseudonym"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.request_type} request {self.pk}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self._state.adding and self.deadline_on is None:
            # A clock begins running.
            self.deadline_on = self.due_on
        super().save(*args, **kwargs)

    @property
    def reference(self) -> str:
        """What people call it among each other: the end of its id, short enough to be read out and typed."""
        end = self.pk.hex[-8:].upper()
        return f"{end[:4]}-{end[4:]}"

    @property
    def subject_id(self) -> str:
        """Who it is about, as the caller named them; after erasure a pseudonym, `erased-…`. Personal."""
        if self.subject_sealed is None:
            return self.pseudonym
        return open_text(bytes(self.subject_sealed), context=self.sealing_context)

    @property
    def sealing_context(self) -> str:
        return f"dsar-subject:{self.tenant_id}:{self.pk}"

    @property
    def answered_by(self) -> UUID:
        """The request whose package answers this one: its own, or that of the one it is a duplicate of."""
        return self.duplicate_of or self.pk

    @property
    def notes(self) -> dict[str, str]:
        """What officers wrote down about it: on `identity`, `refusal`, `resolution`, why its time was extended and its
        clock paused; and `details`, the subject's own words. Personal; gone after shredding.
        """
        if self.notes_sealed is None:
            return {}
        notes: dict[str, str] = json.loads(open_text(bytes(self.notes_sealed), context=self._notes_context))
        return notes

    def note(self, **more: str) -> None:
        """Add to the notes; the caller saves `notes_sealed`. Nothing is added to a shredded request."""
        if not self.is_shredded:
            self.notes_sealed = seal_text(json.dumps({**self.notes, **more}), context=self._notes_context)

    @property
    def extension_reason(self) -> str:
        """Why its time was extended. Personal; empty after shredding."""
        return self.notes.get("extension", "") if self.extended_at is not None else ""

    @property
    def _notes_context(self) -> str:
        return f"dsar-notes:{self.tenant_id}:{self.pk}"

    @property
    def is_repeated(self) -> bool:
        """Whether a restored database forgot what it asked for and was carried out: the subject has their answer."""
        return self.requested_by == REPEATED_BY

    @property
    def is_shredded(self) -> bool:
        return self.subject_sealed is None

    def move_to(self, state: State) -> None:
        self.state = state
        self.status = STATUS_OF[state]
