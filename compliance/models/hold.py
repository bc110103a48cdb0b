"""What is held for a matter, of whom, and since when; and who was told of it."""

from datetime import datetime
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.db.models.functions import Cast

from compliance.models.matter import Matter
from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import Membership, TenantModel


class Kind(models.TextChoices):
    # While a request of a data subject is open, retention leaves what it is about alone. The erasure that such a
    # request may ask for does not: so nothing but retention looks at these.
    REQUEST = "request", "Open request"
    MATTER = "matter", "Matter"


class HoldState(models.TextChoices):
    ACTIVE = "active", "Active"
    # Its release was agreed to; until that takes effect it holds as before.
    RELEASING = "releasing", "Being released"
    RELEASED = "released", "Released"


class HoldQuerySet(TenantQuerySet["Hold"]):
    def effective(self) -> "HoldQuerySet":
        """Those that hold now, also those that are being released."""
        return self.exclude(state=HoldState.RELEASED)

    def for_matters(self) -> "HoldQuerySet":
        return self.filter(kind=Kind.MATTER)

    def touching(self, data_class: str) -> "HoldQuerySet":
        """Those that hold something of a class."""
        return self.filter(data_class__in=["", data_class])

    def reaching(self, subject_id: UUID) -> "HoldQuerySet":
        """Those that name a person, and those of everybody."""
        named = HoldSubject.objects.filter(subject_id=subject_id)
        return self.filter(Q(of_subjects=False) | Q(pk__in=named.values("hold")))

    def newest_first(self) -> "HoldQuerySet":
        return self.order_by("-placed_at", "-id")


class Hold(TenantModel):
    """Keeps the rows in its scope, whoever wants to delete or empty them, until it is released.

    The scope never changes: a trigger refuses it. What is held must grow: place another hold; several may overlap, and
    a row is free when the last one goes. Everything that is said of the scope must be true of a row: with nothing said
    the hold keeps everything.
    """

    matter = models.ForeignKey(
        Matter, null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="holds"
    )
    kind = models.CharField(max_length=8, choices=Kind.choices)
    data_class = models.CharField(max_length=32, blank=True, default="", help_text="Empty: every class.")
    entity = models.CharField(max_length=64, blank=True, default="", help_text="The catalogue's name; empty: all.")
    of_subjects = models.BooleanField(default=False, help_text="Of its subjects alone; else of everybody.")
    from_at = models.DateTimeField(null=True, blank=True, help_text="Rows whose clock stands here or later.")
    until_at = models.DateTimeField(null=True, blank=True, help_text="Rows whose clock stands here or earlier.")
    query = models.JSONField(null=True, blank=True, help_text="[{field, op, value}], all of which are true of a row.")
    state = models.CharField(max_length=10, choices=HoldState.choices, default=HoldState.ACTIVE)
    request_ref = models.UUIDField(null=True, blank=True, editable=False, help_text="The open request it is for.")
    placed_by = models.CharField(max_length=64)
    placed_at = models.DateTimeField()
    recorded_at = models.DateTimeField(null=True, editable=False, help_text="The same by the database's own clock.")
    release_asked_by = models.CharField(max_length=64, blank=True, default="")
    release_reason = models.CharField(max_length=500, blank=True, default="")
    release_agreed_by = models.CharField(max_length=64, blank=True, default="")
    releases_at = models.DateTimeField(null=True, blank=True, help_text="The end of the cooling-off.")
    released_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(HoldQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "legal hold"
        indexes = [
            models.Index(fields=["tenant", "-placed_at"], name="hold_newest"),
            models.Index(fields=["tenant", "matter"], name="hold_by_matter"),
            # For the guards, at every deletion, and for the predicate.
            models.Index(fields=["tenant", "kind"], condition=~Q(state="released"), name="hold_effective"),
            models.Index(fields=["tenant", "request_ref"], condition=~Q(request_ref=None), name="hold_by_request"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=HoldState.values), name="hold_state_known"),
            models.CheckConstraint(
                condition=Q(kind="matter", matter__isnull=False) | Q(kind="request", matter=None),
                name="hold_has_its_matter",
            ),
            models.CheckConstraint(
                condition=Q(until_at=None) | Q(from_at=None) | Q(until_at__gte=models.F("from_at")),
                name="hold_ends_after_it_begins",
            ),
            models.CheckConstraint(condition=Q(query__isnull=True) | ~Q(entity=""), name="hold_query_has_its_entity"),
            models.CheckConstraint(
                condition=Q(state="released", released_at__isnull=False) | (~Q(state="released") & Q(released_at=None)),
                name="hold_released_has_its_time",
            ),
            models.CheckConstraint(
                condition=~Q(state="releasing") | Q(releases_at__isnull=False), name="hold_releasing_has_its_end"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} hold {self.pk}: {self.entity or 'all'} of {self.data_class or 'every class'}"


class HoldSubject(TenantModel):
    """A person whose rows are held, by our own opaque id."""

    hold = models.ForeignKey(
        Hold, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="subjects"
    )
    subject_id = models.UUIDField()

    class Meta(TenantModel.Meta):
        verbose_name = "held subject"
        constraints = [models.UniqueConstraint(fields=["tenant", "subject_id", "hold"], name="hold_subject_once")]
        indexes = [models.Index(fields=["tenant", "hold"], name="hold_subjects")]

    def __str__(self) -> str:
        return f"subject of hold {self.hold_id}"


class NoticeQuerySet(TenantQuerySet["Notice"]):
    def unanswered(self) -> "NoticeQuerySet":
        return self.filter(acknowledged_at=None).exclude(hold__state=HoldState.RELEASED)

    def to_remind(self, told_before: datetime) -> "NoticeQuerySet":
        """Unanswered by members who are still there, and last told of it at this moment or earlier."""
        members = Membership.objects.filter(user__is_active=True).annotate(as_text=Cast("user_id", models.CharField()))
        rows = self.unanswered().filter(Q(reminded_at=None) | Q(reminded_at__lte=told_before), sent_at__lte=told_before)
        return rows.filter(member_id__in=members.values("as_text"))


class Notice(TenantModel):
    """That a custodian, a member, was told to keep what a hold covers, and that they said they will."""

    hold = models.ForeignKey(
        Hold, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="notices"
    )
    member_id = models.CharField(max_length=64)
    sent_at = models.DateTimeField()
    reminded_at = models.DateTimeField(null=True, blank=True)
    reminders = models.PositiveSmallIntegerField(default=0)
    acknowledged_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(NoticeQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "hold notice"
        constraints = [models.UniqueConstraint(fields=["tenant", "hold", "member_id"], name="notice_once")]
        indexes = [
            models.Index(fields=["tenant", "member_id"], condition=Q(acknowledged_at=None), name="notice_to_answer")
        ]

    def __str__(self) -> str:
        return f"notice of hold {self.hold_id}"
