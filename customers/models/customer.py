"""A customer of a tenant, and what else is known to be the same person."""

import unicodedata

from django.db import models

from customers.models.base import AboutCustomer
from kaireon.lib import clock
from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel

NAME_KEY_LENGTH = 400


def normal_email(text: str) -> str:
    """One spelling of an e-mail address, so that equality finds it: NFC, no outer spaces, lower case, and of an
    international domain its letters, not the form with `xn--` that mail servers write.
    """
    address = unicodedata.normalize("NFC", text.strip()).lower()
    local, at, domain = address.rpartition("@")
    if not at or "xn--" not in domain:
        return address
    return f"{local}{at}{'.'.join(_in_letters(label) for label in domain.split('.'))}"


def _in_letters(label: str) -> str:
    """A label of a domain in its letters (RFC 5891); what is no such label stays, so that no two domains become one."""
    if not label.startswith("xn--"):
        return label
    try:
        letters = label[4:].encode("ascii").decode("punycode")
    except UnicodeError:
        return label
    fits = letters.isprintable() and not letters.isascii() and unicodedata.normalize("NFC", letters).lower() == letters
    # The codec takes spellings that nobody writes, too: they do not come back the same.
    return letters if fits and letters.encode("punycode").decode() == label[4:] else label


def normal_name(text: str) -> str:
    """One spelling of a name, so that equality finds it: NFKC, folded case, single spaces."""
    # Some single characters become a whole phrase in NFKC.
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())[:NAME_KEY_LENGTH]


class CustomerQuerySet(TenantQuerySet["Customer"]):
    def numbered(self, customer_id: str) -> "CustomerQuerySet":
        """The customer with the tenant's own number."""
        return self.filter(customer_id=unicodedata.normalize("NFC", customer_id.strip()))

    def at_address(self, email: str) -> "CustomerQuerySet":
        """The customers, several in a family, who use this e-mail address in their profile."""
        return self.filter(email=normal_email(email))

    def called(self, name: str) -> "CustomerQuerySet":
        return self.filter(name_key=normal_name(name))


class Customer(TenantModel):
    """A person the tenant deals with. `customer_id` is the tenant's own number; `id` is ours and means nothing."""

    customer_id = models.CharField("customer number", max_length=128)
    email = models.CharField(max_length=254, blank=True, default="", help_text="Lower case.")
    phone = models.CharField(max_length=64, blank=True, default="")
    name = models.CharField(max_length=200, blank=True, default="")
    # Under row-level security only equality finds an index, so the spelling to compare is stored.
    name_key = models.CharField(max_length=NAME_KEY_LENGTH, blank=True, default="", editable=False)
    birth_date = models.DateField(null=True, blank=True)
    address = models.TextField(blank=True, default="")
    country = models.CharField(max_length=2, blank=True, default="", help_text="ISO 3166-1 alpha-2.")
    language = models.CharField(max_length=35, blank=True, default="", help_text="BCP 47.")
    attributes = models.JSONField(default=dict, blank=True)
    last_activity_at = models.DateTimeField(default=clock.now, help_text="Retention of the profile counts from here.")
    created_at = models.DateTimeField(default=clock.now, editable=False)
    updated_at = models.DateTimeField(default=clock.now, editable=False)

    objects = TenantManager.from_queryset(CustomerQuerySet)()

    class Meta(TenantModel.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "customer_id"], name="customer_number_once")]
        indexes = [
            models.Index(fields=["tenant", "email"], name="customer_by_email"),
            models.Index(fields=["tenant", "name_key"], name="customer_by_name"),
            models.Index(fields=["tenant", "created_at"], name="customer_by_creation"),
            models.Index(fields=["tenant", "last_activity_at"], name="customer_by_activity"),
        ]

    def __str__(self) -> str:
        return f"customer {self.pk}"

    def save(self, *args: object, **kwargs: object) -> None:
        self.customer_id = unicodedata.normalize("NFC", self.customer_id.strip())
        self.email = normal_email(self.email)
        self.name_key = normal_name(self.name)
        super().save(*args, **kwargs)


class IdentityKind(models.TextChoices):
    EMAIL = "email", "E-mail"
    PHONE = "phone", "Phone"
    DEVICE = "device", "Device"
    COOKIE = "cookie", "Cookie"
    ACCOUNT = "account", "Account elsewhere"


class IdentityLinkQuerySet(TenantQuerySet["IdentityLink"]):
    def resolving(self, kind: str, value: str) -> "IdentityLinkQuerySet":
        """The links that say whose this address or device is."""
        return self.filter(kind=kind, value=normal_email(value) if kind == IdentityKind.EMAIL else value)


class IdentityLink(AboutCustomer):
    """An address or a device that is this customer's. A shared one has a link to each of them."""

    kind = models.CharField(max_length=16, choices=IdentityKind.choices)
    value = models.CharField(max_length=254)
    source = models.CharField(max_length=64, blank=True, default="")
    first_seen_at = models.DateTimeField(default=clock.now)
    last_seen_at = models.DateTimeField(default=clock.now)

    objects = TenantManager.from_queryset(IdentityLinkQuerySet)()

    class Meta(AboutCustomer.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "kind", "value", "customer"], name="identity_link_once")
        ]
        indexes = [
            models.Index(fields=["tenant", "customer"], name="identity_by_customer"),
            models.Index(fields=["tenant", "last_seen_at"], name="identity_by_sight"),
        ]

    def save(self, *args: object, **kwargs: object) -> None:
        if self.kind == IdentityKind.EMAIL:
            self.value = normal_email(self.value)
        super().save(*args, **kwargs)
