"""Where customers are in a journey, and what was sent to them."""

from django.db import models

from customers.models.base import AboutCustomer
from kaireon.lib import clock


class JourneyEnrollment(AboutCustomer):
    """A customer's way through a journey."""

    journey = models.CharField(max_length=64)
    step = models.CharField(max_length=64, blank=True, default="")
    state = models.CharField(
        max_length=16,
        default="active",
        choices=[("active", "Active"), ("completed", "Completed"), ("exited", "Exited")],
    )
    entered_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta(AboutCustomer.Meta):
        verbose_name = "journey enrolment"
        indexes = [
            models.Index(fields=["tenant", "customer", "entered_at"], name="enrollment_by_customer"),
            models.Index(fields=["tenant", "ended_at"], name="enrollment_by_end"),
        ]


class Delivery(AboutCustomer):
    """A message to a customer and what became of it."""

    channel = models.CharField(max_length=32)
    template = models.CharField(max_length=128, blank=True, default="")
    destination = models.CharField(max_length=254, blank=True, default="")
    status = models.CharField(
        max_length=16,
        default="sent",
        choices=[
            ("sent", "Sent"),
            ("delivered", "Delivered"),
            ("opened", "Opened"),
            ("bounced", "Bounced"),
            ("failed", "Failed"),
        ],
    )
    provider_id = models.CharField(max_length=128, blank=True, default="")
    sent_at = models.DateTimeField(default=clock.now)

    class Meta(AboutCustomer.Meta):
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(fields=["tenant", "customer", "sent_at"], name="delivery_by_customer"),
            models.Index(fields=["tenant", "sent_at"], name="delivery_by_time"),
        ]
