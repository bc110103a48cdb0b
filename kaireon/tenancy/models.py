"""Tenants, people, memberships, keys and sessions."""

import uuid
from datetime import datetime
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.validators import RegexValidator
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models import Q
from django.db.models.base import ModelBase

from kaireon.lib.ids import uuid7
from kaireon.tenancy import context
from kaireon.tenancy.managers import DefaultTenantManager, TenantManager, TenantQuerySet, UserManager
from kaireon.tenancy.roles import Role

TENANT_ID = r"^[a-z0-9][a-z0-9-]{0,62}$"


class Tenant(models.Model):
    """A customer organisation of ours. Its id is a slug that never changes and is never reused."""

    id = models.CharField(
        primary_key=True, max_length=63, validators=[RegexValidator(TENANT_ID, "Lowercase letters, digits, hyphens.")]
    )
    name = models.CharField(max_length=200)
    is_active = models.BooleanField(default=True)
    time_zone = models.CharField(max_length=64, default="UTC")
    regulation = models.CharField(max_length=16, default="gdpr", help_text="The law a request is answered under.")
    holiday_calendar = models.CharField(
        max_length=32, blank=True, default="", help_text="Whose public holidays are no working days, such as DE-BE."
    )
    roll_deadlines = models.BooleanField(
        default=False, help_text="A time that would end on no working day ends on the next one."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id__regex=TENANT_ID), name="tenant_id_is_a_slug")]

    def __str__(self) -> str:
        return self.name


class TenantModelBase(ModelBase):
    """Gives every tenant model that brings no manager of its own the tenant's. None is ever left with Django's."""

    def __new__(cls, name: str, bases: tuple[type, ...], attrs: dict[str, Any], **kwargs: Any) -> Any:
        abstract = getattr(attrs.get("Meta"), "abstract", False)
        if not abstract and not isinstance(attrs.get("objects"), TenantManager):
            attrs["objects"] = DefaultTenantManager()
        return super().__new__(cls, name, bases, attrs, **kwargs)


class TenantModel(models.Model, metaclass=TenantModelBase):
    """A row that belongs to one tenant. Its table needs `tenant_table` in the migration that creates it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # The database's own reference is made by `tenant_table`, which knows about row-level security.
    tenant = models.ForeignKey(
        Tenant,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        editable=False,
        default=context.tenant_id,
        related_name="+",
    )
    tenant_id: str

    class Meta:
        abstract = True
        base_manager_name = "objects"

    def save(self, *args: Any, **kwargs: Any) -> None:
        context.check_bound(self.tenant_id, connections[kwargs.get("using") or DEFAULT_DB_ALIAS])
        super().save(*args, **kwargs)

    def delete(self, using: str | None = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        # Django deletes an instance by its key alone, past every manager.
        context.check_bound(self.tenant_id, connections[using or DEFAULT_DB_ALIAS])
        return super().delete(using=using, keep_parents=keep_parents)


class User(AbstractBaseUser):
    """A person who acts in office, known by e-mail. What they may do stands in their memberships."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200)
    is_active = models.BooleanField(default=True)
    failed_logins = models.PositiveSmallIntegerField(default=0)
    locked_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_login = None

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    objects = UserManager()

    def __str__(self) -> str:
        return self.name

    # Django's admin asks these; who may enter it is decided by membership, in KaireonAdminSite.
    @property
    def is_staff(self) -> bool:
        return self.is_active

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_active


class Membership(TenantModel):
    """A person's role in a tenant."""

    user = models.ForeignKey(User, on_delete=models.DO_NOTHING, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices)
    joined_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user_id} as {self.role}"


class ApiKeyQuerySet(TenantQuerySet["ApiKey"]):
    def usable(self, now: datetime) -> "ApiKeyQuerySet":
        return self.filter(revoked_at=None).filter(Q(expires_at=None) | Q(expires_at__gt=now))


class ApiKey(TenantModel):
    """A machine's key: `krn_` + prefix + `_` + secret, shown once, kept as HMAC-SHA256 under API_KEY_PEPPER."""

    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, unique=True)
    secret_hash = models.CharField(max_length=64)
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.ADMIN)
    scopes = models.JSONField(
        default=list, blank=True, help_text="Permissions it is narrowed to; empty: all its role's."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=64, default="")
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(ApiKeyQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"krn_{self.prefix}_…"


class RefreshToken(TenantModel):
    """A single-use token that renews a session; using one twice ends the whole family (RFC 9700, 4.14.2)."""

    user = models.ForeignKey(User, on_delete=models.DO_NOTHING, related_name="+")
    family = models.UUIDField(default=uuid.uuid4)
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        indexes = [models.Index(fields=["tenant", "family"], name="refresh_by_family")]

    def __str__(self) -> str:
        return f"refresh token of {self.family}"


class IdempotencyKey(TenantModel):
    """The answer to a POST that carried an Idempotency-Key, sealed, for a day."""

    principal = models.CharField(max_length=64)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    locked_until = models.DateTimeField()
    status = models.PositiveSmallIntegerField(null=True)
    answer = models.BinaryField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta(TenantModel.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "principal", "key"], name="idempotency_once")]

    def __str__(self) -> str:
        return f"idempotency key {self.pk}"
