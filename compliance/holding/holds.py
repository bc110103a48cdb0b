"""What is held, and the row on which holds and deletions meet."""

from datetime import datetime
from typing import cast

from django.db import DatabaseError, connection

import audit
from compliance.holding import signals
from compliance.holding.guards import LEGAL_HOLD
from compliance.models import Hold, RetentionPolicy
from compliance.retention import policies
from customers.catalogue import DATA_CLASSES
from kaireon.tenancy import trips
from kaireon.tenancy.context import Actor, requires_transaction
from kaireon.tenancy.kept import Kept


class HoldAlreadyPlaced(RuntimeError):
    """This class is held already. Release the hold first if its reason must change."""


class HoldAlreadyReleased(RuntimeError):
    """This class is not held, or somebody was faster: of two concurrent releases exactly one counts."""


# Asked in every erasure, several times.
_HELD = Kept(lambda: RetentionPolicy.objects.held().values_list("data_class"))


@requires_transaction
def held_classes() -> frozenset[str]:
    """The data classes the active tenant holds. Take the epoch first when you act on the answer."""
    return frozenset(data_class for (data_class,) in _HELD.values())


@requires_transaction
def wholly_held() -> frozenset[str]:
    """The same, and those of which a matter's hold keeps every row."""
    matters = Hold.objects.effective().for_matters()
    unlimited = matters.filter(entity="", of_subjects=False, query__isnull=True, from_at=None, until_at=None)
    named = frozenset(unlimited.values_list("data_class", flat=True))
    return held_classes() | (frozenset(DATA_CLASSES) if "" in named else named)


@requires_transaction
def lock_epoch() -> int:
    """Keep what is held as it is until this transaction ends: placing or releasing a hold waits for it.

    Gives the epoch: as long as it is the same, no policy, law or hold says that more stays than before.
    Read `held_classes` after it, in READ COMMITTED (then no hold is missed). In stricter isolation it raises
    OperationalError (serialization failure) when a hold moved since the snapshot: run the transaction again.
    """
    with connection.cursor() as cursor:
        # The function takes the row FOR SHARE, which the application has no grant to do itself.
        cursor.execute("SELECT public.hold_epoch()")
        return int(cast("tuple[int]", cursor.fetchone())[0])


@requires_transaction
def keep_epoch() -> None:
    """As `lock_epoch`, for who need not know which it is: the lock may go ahead of the next statement, in one trip."""
    trips.say(connection, "SELECT public.hold_epoch()")


@requires_transaction
def place_hold(*, data_class: str, reason: str, actor: Actor, now: datetime) -> RetentionPolicy:
    """Hold a whole class, at once. Waits for a deletion that is under way, and no later one passes.

    A class without a policy has none afterwards either: it is kept. Raises UnknownDataClass,
    HoldAlreadyPlaced.
    """
    policies.check_class(data_class)
    policy = RetentionPolicy.objects.select_for_update().filter(data_class=data_class).first()
    if policy is not None and policy.legal_hold:
        raise HoldAlreadyPlaced(data_class)
    return policies.upsert_policy(
        data_class=data_class,
        retention_days=None,
        legal_hold=True,
        hold_reason=reason,
        actor=actor,
        now=now,
    )


@requires_transaction
def release_hold(*, data_class: str, actor: Actor, now: datetime, agreed: bool = False) -> None:
    """Let retention resume for a class; `agreed`: a second person said yes to it.

    Raises UnknownDataClass, HoldAlreadyReleased, and policies.ReleaseNeedsSecondPerson where the tenant demands one.
    """
    policies.check_class(data_class)
    if not agreed:
        policies.check_release(data_class)
    policy = RetentionPolicy.objects.filter(data_class=data_class).first()
    if policy is None:
        raise HoldAlreadyReleased(data_class)
    audit.action(policies.HOLD_VERB, entity=policy)
    # The condition is in the UPDATE, so the database decides who was first.
    released = (
        RetentionPolicy.objects.held()
        .filter(pk=policy.pk)
        .update(
            legal_hold=False,
            held_since=None,
            hold_reason="",
            updated_by=actor.id,
            updated_at=now,
            version=policies.NEXT,
        )
    )
    if not released:
        raise HoldAlreadyReleased(data_class)
    signals.released.send(sender=RetentionPolicy)


def refused_by_hold(error: DatabaseError) -> bool:
    """True when the database refused a deletion because of a hold that came in between."""
    return getattr(error.__cause__, "sqlstate", None) == LEGAL_HOLD
