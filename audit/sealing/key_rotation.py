"""A new key for a log to wrap its subjects' keys with, and each of those wrapped anew. What is sealed stays as it is.

In steps that commit by themselves, with the log at work meanwhile; whoever is interrupted goes on where it ended. The
new key is sealed under the newest of SEALING_KEYS, and the old one is forgotten once nothing is wrapped under it: after
that the log's personal values need no older version of SEALING_KEYS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from audit import services
from audit.models import SubjectKey, TenantKey
from audit.sealing.subject_keys import NoTenantKey, TenantCipher, lock_log, new_tenant_key, tenant_cipher
from kaireon.lib import clock
from kaireon.tenancy.context import current, requires_transaction, transaction, without_transaction

AT_ONCE = 500

_REWRAP = """
UPDATE public.audit_subjectkey k SET key_version = %s, key_wrapped = anew.wrapped
  FROM unnest(%s::uuid[], %s::bytea[]) anew (id, wrapped) WHERE k.tenant_id = %s AND k.id = anew.id
"""


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """What is to be done in a log, or was: `version` is the key that wraps in the end, `keys` are those wrapped anew.

    `resumed`: an earlier rotation had ended before its end.
    """

    version: int
    keys: int
    resumed: bool


@requires_transaction
def planned() -> Rotation:
    """What `rotate` would do in the active log now."""
    tenant = current().tenant_id
    versions = _versions(tenant)
    resumed = len(versions) > 1
    version = max(versions, default=0) + (0 if resumed else 1)
    return Rotation(version=version, keys=_behind(tenant, version), resumed=resumed)


@without_transaction
def rotate(*, moved: Callable[[int], object] = lambda _: None) -> Rotation:
    """Change the key of the active log, in transactions of its own; `moved` hears how many more subjects are done.

    Raises UnknownKeyVersion when a master key is missing; nothing is lost, and what was done stays done.
    """
    with transaction():
        plan = _begin()
    done = 0
    while True:
        with transaction():
            made = _rewrap_some(plan.version)
        if not made:
            break
        done += made
        moved(made)
    with transaction():
        _retire_before(plan.version)
    return Rotation(version=plan.version, keys=done, resumed=plan.resumed)


def _begin() -> Rotation:
    tenant = current().tenant_id
    # From here on the sequencer wraps under the new key, and every batch before has committed.
    lock_log(tenant)
    plan = planned()
    if not plan.resumed:
        # The one in use must open, or the rotation would end in its middle.
        _cipher(tenant, plan.version - 1)
        key = TenantKey(
            tenant_id=tenant,
            version=plan.version,
            key_sealed=new_tenant_key(tenant, plan.version),
            created_at=clock.now(),
        )
        services.action("audit_log.tenant_key_made", entity=key)
        key.save(force_insert=True)
    return plan


def _rewrap_some(version: int) -> int:
    tenant = current().tenant_id
    keys = list(
        SubjectKey.objects.select_for_update()
        .filter(tenant_id=tenant, key_version__lt=version, destroyed_at=None)
        .order_by("key_version", "id")[:AT_ONCE]
    )
    if not keys:
        return 0
    newest = _cipher(tenant, version)
    old = {v: _cipher(tenant, v) for v in {key.key_version for key in keys}}
    anew: list[tuple[UUID, bytes]] = []
    for key in keys:
        cipher = old[key.key_version]
        if newest is None or cipher is None or key.key_wrapped is None:
            raise NoTenantKey(f"version {key.key_version} of the log's own key is not there")
        raw = cipher.unwrap(bytes(key.key_wrapped), subject_id=key.subject_id)
        anew.append((key.id, newest.wrap(raw, subject_id=key.subject_id)))
    with connection.cursor() as cursor:
        cursor.execute(_REWRAP, [version, [key_id for key_id, _ in anew], [wrapped for _, wrapped in anew], tenant])
    return len(anew)


def _retire_before(version: int) -> None:
    tenant = current().tenant_id
    lock_log(tenant)
    if _behind(tenant, version):
        return
    for key in TenantKey.objects.filter(tenant_id=tenant, version__lt=version, retired_at=None):
        services.action("audit_log.tenant_key_retired", entity=key)
        TenantKey.objects.filter(pk=key.pk).update(key_sealed=None, retired_at=clock.now())


def _versions(tenant: str) -> list[int]:
    return list(TenantKey.objects.filter(tenant_id=tenant, retired_at=None).values_list("version", flat=True))


def _behind(tenant: str, version: int) -> int:
    return SubjectKey.objects.filter(tenant_id=tenant, key_version__lt=version, destroyed_at=None).count()


def _cipher(tenant: str, version: int) -> TenantCipher | None:
    key = TenantKey.objects.filter(tenant_id=tenant, version=version).first()
    if key is None or key.key_sealed is None:
        return None
    return tenant_cipher(tenant, version, bytes(key.key_sealed))
