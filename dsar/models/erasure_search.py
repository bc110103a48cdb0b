"""By what names an erasure looks for its person where no reference leads to them."""

from django.db import models

from dsar.models.request import DsarRequest
from kaireon.tenancy.models import TenantModel


class ErasureSearch(TenantModel):
    """Written with the step that erases the profile: afterwards nobody else knows these names.

    `names_sealed` is emptied with the answer, unless something that was found by them has to stay. `refs` are customers
    who had one of the names by the time of the last look: the person, written again by somebody who knew them still.
    """

    request = models.ForeignKey(
        DsarRequest, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    names_sealed = models.BinaryField(null=True, editable=False)
    refs = models.JSONField(default=list, blank=True, help_text="Our own ids of them.")

    class Meta(TenantModel.Meta):
        verbose_name = "search of an erasure"
        verbose_name_plural = "searches of erasures"
        constraints = [models.UniqueConstraint(fields=["tenant", "request"], name="erasure_search_once")]

    def __str__(self) -> str:
        return f"search of erasure {self.request_id}"

    @property
    def sealing_context(self) -> str:
        return f"erasure-search:{self.pk}"
