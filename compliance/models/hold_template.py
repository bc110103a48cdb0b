"""Scopes of holds that are agreed on beforehand, so that a hold is placed fast and as agreed."""

from django.db import models
from django.db.models import Q

from compliance.models.matter import NO_NAMES
from kaireon.tenancy.models import TenantModel


class HoldTemplate(TenantModel):
    """What a hold placed by it would keep. It holds nothing itself, and a hold that was placed by it does not follow
    its changes."""

    name = models.CharField(max_length=100, help_text=NO_NAMES)
    about = models.CharField(max_length=500, blank=True, default="", help_text=f"When it is the right one. {NO_NAMES}")
    data_class = models.CharField(max_length=32, blank=True, default="", help_text="Empty: every class.")
    entity = models.CharField(max_length=64, blank=True, default="", help_text="The catalogue's name; empty: all.")
    look_back_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Rows whose clock stands at most so many days before the hold; empty: all."
    )
    query = models.JSONField(null=True, blank=True, help_text="[{field, op, value}], all of which are true of a row.")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        verbose_name = "hold template"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="hold_template_name_once"),
            models.CheckConstraint(
                condition=Q(query__isnull=True) | ~Q(entity=""), name="template_query_has_its_entity"
            ),
        ]

    def __str__(self) -> str:
        return self.name
