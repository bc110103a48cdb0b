"""Whose data was erased, by key: so that they are not taken in again unawares."""

from django.db import models
from django.db.models import Q

from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class ErasedQuerySet(TenantQuerySet["ErasedSubject"]):
    def keyed(self, keys: list[str]) -> "ErasedQuerySet":
        return self.filter(subject_key__in=keys)

    def standing(self) -> "ErasedQuerySet":
        """Those that nobody released."""
        return self.filter(released_at=None)


class ErasedSubject(TenantModel):
    """What erasure leaves of a person: a keyed hash of their number, and one of an address that was theirs alone.

    While it stands, ingest takes in nobody of this number or address. Released when the person comes back by their own
    will, with who and why.
    """

    subject_key = models.CharField(max_length=80, editable=False)
    created_at = models.DateTimeField("erased")
    released_at = models.DateTimeField("let in again", null=True, blank=True)
    released_by = models.CharField(max_length=64, blank=True, default="")
    released_by_name = models.CharField("let in by", max_length=200, blank=True, default="")
    reason = models.CharField(max_length=500, blank=True, default="", help_text="Why they were let in again.")

    objects = TenantManager.from_queryset(ErasedQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "erased person"
        verbose_name_plural = "erased people"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "subject_key"], name="erased_subject_once"),
            models.CheckConstraint(
                condition=Q(released_at=None) | (~Q(released_by_name="") & ~Q(reason="")),
                name="erased_subject_release_says_why",
            ),
        ]
        indexes = [models.Index(fields=["tenant", "created_at"], name="erased_subject_by_time")]

    def __str__(self) -> str:
        return f"erased subject {self.pk}"
