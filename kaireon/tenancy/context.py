"""Who acts, in which tenant: the first thing every path sets and the only thing the two locks look at.

`scope` says who and where, in Python. `transaction` opens a database transaction that says the same to PostgreSQL
through transaction-local settings, which row-level security and the audit triggers read. Reads need one too.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import Literal, ParamSpec, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections
from django.db import transaction as django_transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from kaireon.tenancy import signals, trips

PLATFORM = "_platform"
# No tenant is called so.
_ANY_TENANT = "(any tenant)"

ActorType = Literal["user", "api_key", "job", "system"]
P = ParamSpec("P")
R = TypeVar("R")


class NoActiveTenant(RuntimeError):
    """Tenant data was asked for outside any tenant. Open `scope(tenant_id=…, actor=…)` first."""


class WrongTenant(RuntimeError):
    """A query or object made for one tenant was used in another. Build it again inside the scope it is for."""


class OutsideTransaction(RuntimeError):
    """Tenant data was touched outside `transaction()`, where PostgreSQL does not know the tenant."""


class InsideTransaction(RuntimeError):
    """Something that opens transactions of its own, step by step, was called inside one. Call it outside any."""


class TenantSwitchInTransaction(RuntimeError):
    """A scope of another tenant was opened inside an open transaction. Finish the transaction first."""


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who did it. `id` is our opaque id; `name` is a member's or a machine's name, never a subject's."""

    id: str
    name: str
    type: ActorType

    @classmethod
    def system(cls, name: str = "system") -> "Actor":
        return cls(id="", name=name, type="system")

    @classmethod
    def job(cls, name: str) -> "Actor":
        return cls(id=f"job:{name}", name=name, type="job")


@dataclass(frozen=True, kw_only=True)
class Scope:
    tenant_id: str
    actor: Actor
    request_id: str = field(default="")


_scope: ContextVar[Scope | None] = ContextVar("kaireon_scope", default=None)


def current() -> Scope:
    """The open scope. Raises NoActiveTenant when there is none."""
    here = _scope.get()
    if here is None:
        raise NoActiveTenant("No tenant is active: open scope(tenant_id=…, actor=…) first.")
    return here


def tenant_id() -> str:
    """The active tenant's id. Raises NoActiveTenant outside a scope and in the platform's own."""
    here = current()
    if here.tenant_id == PLATFORM:
        raise NoActiveTenant("The platform scope has no tenant data: open the scope of a tenant.")
    return here.tenant_id


@contextmanager
def scope(*, tenant_id: str, actor: Actor, request_id: str = "") -> Iterator[Scope]:
    """Act as `actor` in `tenant_id` until the block ends.

    Inside an open transaction only the actor may change; another tenant raises TenantSwitchInTransaction.
    """
    here = Scope(tenant_id=tenant_id, actor=actor, request_id=request_id)
    connection = connections[DEFAULT_DB_ALIAS]
    outer = _applied(connection)
    if outer is not None and outer.tenant_id != tenant_id:
        raise TenantSwitchInTransaction(f"A transaction of another tenant is open; finish it before {tenant_id!r}.")
    token = _scope.set(here)
    try:
        if outer is None:
            yield here
        else:
            # A savepoint, so that an error takes the settings of this scope back with it.
            with transaction():
                yield here
    finally:
        _scope.reset(token)


@contextmanager
def platform_scope(*, actor: Actor, request_id: str = "") -> Iterator[Scope]:
    """Act for no tenant: tenant creation, sign-in of unknown users, schedules. Its records go to `_platform`."""
    with scope(tenant_id=PLATFORM, actor=actor, request_id=request_id) as here:
        yield here


@contextmanager
def composing() -> Iterator[str]:
    """A scope of no tenant that there is, for composing statements which are asked later for those that are.

    Yields what stands for the tenant. Whoever sends one all the same finds nothing.
    """
    token = _scope.set(Scope(tenant_id=_ANY_TENANT, actor=Actor.system()))
    try:
        yield _ANY_TENANT
    finally:
        _scope.reset(token)


@contextmanager
def transaction(*, durable: bool = False, one_moment: bool = False, using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """A database transaction that knows the scope; nested, a savepoint. All or nothing, reads included.

    With `one_moment` it sees the database as it was at its first look and changes nothing; it is never nested.
    """
    here = current()
    connection = connections[using]
    surrounded = connection.in_atomic_block
    try:
        with django_transaction.atomic(using=using, durable=durable or one_moment):
            if one_moment:
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            with _told(connection, here, surrounded=surrounded):
                yield
    finally:
        if not surrounded:
            trips.forget(connection)


def in_transaction(using: str = DEFAULT_DB_ALIAS) -> bool:
    return _applied(connections[using]) is not None


def not_durably() -> None:
    """Let the commit of this transaction not wait for the disk: for what may be forgotten when a server crashes."""
    trips.say(connections[DEFAULT_DB_ALIAS], "SET LOCAL synchronous_commit = off")


def requires_transaction(service: Callable[P, R]) -> Callable[P, R]:
    """Refuse to run a service outside `transaction()`: what it changes must commit with what it records."""

    @wraps(service)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if not in_transaction():
            raise OutsideTransaction(f"{service.__qualname__} must run inside transaction().")
        return service(*args, **kwargs)

    return guarded


def without_transaction(service: Callable[P, R]) -> Callable[P, R]:
    """Refuse to run a service inside a transaction: what it commits must stay whatever becomes of the caller's."""

    @wraps(service)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if connections[DEFAULT_DB_ALIAS].in_atomic_block:
            raise InsideTransaction(f"{service.__qualname__} opens its own transactions: call it outside any.")
        return service(*args, **kwargs)

    return guarded


def across_all_tenants(*, reason: str, actor: Actor, request_id: str = "") -> Iterator[str]:
    """The one door through which work crosses tenants: one scope after the other, and the crossing is recorded.

    Yields each active tenant's id with its scope open; open a `transaction()` inside the loop.
    """
    from kaireon.tenancy import resolver

    signals.tenants_crossed.send(sender=None, reason=reason, actor=actor, request_id=request_id)
    for tenant in resolver.active_tenants():
        with scope(tenant_id=tenant, actor=actor, request_id=request_id):
            yield tenant


def check_bound(tenant: str | None, connection: BaseDatabaseWrapper) -> None:
    """Let SQL be made only for the tenant that is active here and that PostgreSQL was told of."""
    active = tenant_id()
    if active != tenant:
        raise WrongTenant(f"This query or object belongs to tenant {tenant!r}, but {active!r} is active.")
    if _applied(connection) is None:
        raise OutsideTransaction("Tenant data is read and written inside transaction() only.")


def _applied(connection: BaseDatabaseWrapper) -> Scope | None:
    """What PostgreSQL was told in the transaction that is open now."""
    if not connection.in_atomic_block:
        return None
    return getattr(connection, "kaireon_scope", None)


@contextmanager
def _told(connection: BaseDatabaseWrapper, here: Scope, *, surrounded: bool) -> Iterator[None]:
    outer = _applied(connection)
    if outer != here:
        _tell(connection, here)
    connection.kaireon_scope = here  # type: ignore[attr-defined]
    try:
        yield
    except BaseException:
        # The rollback, whole or to the savepoint, takes the settings back with it.
        connection.kaireon_scope = outer  # type: ignore[attr-defined]
        raise
    connection.kaireon_scope = outer  # type: ignore[attr-defined]
    # Transaction-local settings outlive the release of a savepoint, so the outer ones are said again; inside an
    # atomic block of somebody else's there were none, and there shall be none.
    if surrounded and outer != here and not connection.needs_rollback:
        _tell(connection, outer)


def _tell(connection: BaseDatabaseWrapper, here: Scope | None) -> None:
    settings = ["", "", "", "", ""]
    if here is not None:
        settings = [here.tenant_id, here.actor.id, here.actor.name, here.actor.type, here.request_id]
    trips.say(
        connection,
        "SELECT set_config('app.tenant_id', %s, true), set_config('app.actor_id', %s, true),"
        " set_config('app.actor_name', %s, true), set_config('app.actor_type', %s, true),"
        " set_config('app.request_id', %s, true)",
        settings,
    )
