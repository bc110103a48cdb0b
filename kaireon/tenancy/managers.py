"""The first lock: querysets that remember their tenant and refuse to become SQL in another's scope.

The condition on the tenant is an expression that checks the scope whenever it is compiled, so every way a queryset
reaches the database (exists, explain, count, update, delete, async iteration, a stale subquery) passes the check.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from django.contrib.auth.base_user import BaseUserManager
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler

from kaireon.tenancy import context

if TYPE_CHECKING:
    from kaireon.tenancy.models import User

M = TypeVar("M", bound=models.Model, covariant=True)


class BoundTenant(models.Value):
    """The id of the tenant a query was built for; compiling it anywhere else raises."""

    def __init__(self, tenant: str) -> None:
        super().__init__(tenant, output_field=models.CharField())

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:  # type: ignore[override]
        context.check_bound(self.value, connection)
        return super().as_sql(compiler, connection)  # type: ignore[return-value]


def _check_same_tenant(objs: Iterable[models.Model]) -> None:
    active = context.tenant_id()
    for obj in objs:
        if obj.tenant_id != active:  # type: ignore[attr-defined]
            raise context.WrongTenant(f"This object belongs to another tenant than the active {active!r}.")


class TenantQuerySet(models.QuerySet[M, M]):
    def _insert(self, objs: Iterable[models.Model], *args: Any, **kwargs: Any) -> Any:
        _check_same_tenant(objs)
        if not context.in_transaction(self.db):
            raise context.OutsideTransaction("Tenant data is read and written inside transaction() only.")
        return super()._insert(objs, *args, **kwargs)  # type: ignore[misc]

    def update(self, **kwargs: Any) -> int:
        if "tenant" in kwargs or "tenant_id" in kwargs:
            raise context.WrongTenant("Rows do not change tenant.")
        return super().update(**kwargs)

    def bulk_update(self, objs: Iterable[models.Model], *args: Any, **kwargs: Any) -> int:
        # Their rows are out of reach anyway; saying nothing about it would hide the mistake.
        given = list(objs)
        _check_same_tenant(given)
        return super().bulk_update(given, *args, **kwargs)  # type: ignore[arg-type]

    def raw(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise context.WrongTenant("raw() cannot be bound to a tenant: use a cursor inside transaction().")


# Resolving the condition takes a tenth of a millisecond, twice for every object saved; copying the query takes little.
@lru_cache(maxsize=10_000)
def _bound_query(model: type[models.Model], tenant: str) -> Query:
    query = Query(model)
    query.add_q(models.Q(tenant=BoundTenant(tenant)))
    return query


class TenantManager(models.Manager[M]):
    _queryset_class = TenantQuerySet

    def get_queryset(self) -> TenantQuerySet[M]:
        queryset = super().get_queryset()
        queryset.query = _bound_query(self.model, context.tenant_id()).chain()
        return queryset  # type: ignore[return-value]

    def raw(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise context.WrongTenant("raw() cannot be bound to a tenant: use a cursor inside transaction().")


DefaultTenantManager = TenantManager.from_queryset(TenantQuerySet)


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").strip().lower())

    def create_user(self, *, email: str, name: str, password: str | None = None) -> "User":
        user = self.model(email=email.strip().lower(), name=name)
        user.set_password(password)
        user.save(using=self._db)
        return user
