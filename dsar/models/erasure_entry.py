"""What the journal of erasures, outside the database, says or is about to say."""

from django.db import models

from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class ErasureEntryQuerySet(TenantQuerySet["ErasureEntry"]):
    def in_order(self) -> "ErasureEntryQuerySet":
        return self.order_by("number")

    def unwritten(self) -> "ErasureEntryQuerySet":
        """Those that are not known to be outside yet."""
        return self.filter(written_at=None)

    def unsent(self) -> "ErasureEntryQuerySet":
        """Those in storage that not every webhook has; one that was taken over was sent before it was lost."""
        return self.filter(sent_at=None, written_at__isnull=False, taken_over_at=None)

    def to_replay(self) -> "ErasureEntryQuerySet":
        """Erasures that a restored database did not have, and that were not done again yet."""
        return self.filter(taken_over_at__isnull=False, replayed_at=None)


class ErasureEntry(TenantModel):
    """One erasure that took rows: what the journal's object of this number says, to the byte; see dsar/journal.

    Written down in the transaction in which the rows went, so that the database never knows less than the journal,
    unless it is an older one. Then the entry is taken over from there (`taken_over_at`), and the erasure done again.
    It names nobody: keyed hashes stand in it, under a key that is not in the database.
    """

    number = models.BigIntegerField()
    request_ref = models.UUIDField(help_text="The request; it may be gone by now.")
    content = models.BinaryField(editable=False, help_text="Canonical JSON; docs/evidence.md has its form.")
    sha256 = models.CharField(max_length=64, help_text="Of the content.")
    made_at = models.DateTimeField()
    written_at = models.DateTimeField(null=True, blank=True, help_text="When the object was read back.")
    sent_at = models.DateTimeField(null=True, blank=True, help_text="When every webhook had it.")
    taken_over_at = models.DateTimeField(null=True, blank=True, help_text="When a restored database learned of it.")
    replayed_at = models.DateTimeField(null=True, blank=True, help_text="When the erasure was done again.")

    objects = TenantManager.from_queryset(ErasureEntryQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "entry of the journal of erasures"
        verbose_name_plural = "entries of the journal of erasures"
        constraints = [models.UniqueConstraint(fields=["tenant", "number"], name="erasure_entry_once")]

    def __str__(self) -> str:
        return f"entry {self.number} of the journal of erasures"
