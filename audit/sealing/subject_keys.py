"""The keys that personal values in a log are sealed under: one for each subject, wrapped by the log's own, that by
SEALING_KEYS. Made while sequencing, under the log's lock; destroyed under the same lock, so that no batch has it open.

A subject whose key is gone gets none again. Nothing here outlives the transaction it was read in.
"""

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db import connection
from django.db.backends.utils import CursorWrapper

from audit.models import SubjectKey, TenantKey
from audit.sealing.sealed import Sealer
from kaireon.lib.ids import uuid7
from kaireon.lib.sealing import KEY_BYTES, CannotOpen, SealBroken, open_sealed, seal
from kaireon.tenancy import trips
from kaireon.tenancy.context import current, requires_transaction
from kaireon.tenancy.keyring import keyring

# A subject by its log and its id.
Subject = tuple[str, str]

_NONCE_BYTES = 12

# The subjects' keys, and those of their logs. As JSON the names are read at once, where an array takes each apart.
_KEYS = """
SELECT k.tenant_id, k.subject_id, k.id, k.key_version, k.key_wrapped
  FROM ROWS FROM (json_array_elements_text(%s), json_array_elements_text(%s)) wanted (tenant_id, subject_id)
  JOIN public.audit_subjectkey k ON k.tenant_id = wanted.tenant_id AND k.subject_id = wanted.subject_id
UNION ALL
SELECT tenant_id, NULL, NULL, version, key_sealed FROM public.audit_tenantkey
 WHERE tenant_id = ANY(%s) AND retired_at IS NULL
"""
_ALIVE = """
SELECT subject_id FROM public.audit_subjectkey
 WHERE tenant_id = %s AND subject_id = ANY(%s::text[]) AND destroyed_at IS NULL
"""
_OWN_KEY = """
SELECT k.id, k.key_version, k.key_wrapped, t.key_sealed
  FROM public.audit_subjectkey k
  LEFT JOIN public.audit_tenantkey t ON t.tenant_id = k.tenant_id AND t.version = k.key_version
 WHERE k.tenant_id = %s AND k.subject_id = %s
"""
_MAKE_TENANT_KEY = """
INSERT INTO public.audit_tenantkey (id, tenant_id, version, key_sealed, created_at) VALUES (%s, %s, %s, %s, now())
"""
# The new key brings its record, whose actor is the sequencer.
_AS_SEQUENCER = """
SELECT set_config('app.actor_type', 'system', true), set_config('app.actor_id', '', true),
       set_config('app.actor_name', 'audit-sequencer', true)
"""
_MAKE_KEYS = """
INSERT INTO public.audit_subjectkey (id, tenant_id, subject_id, key_version, key_wrapped, created_at)
SELECT made.*, now() FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::integer[], %s::bytea[]) made
"""


class NoTenantKey(CannotOpen):
    """The version of the log's own key that wraps this subject's key is not there."""


@dataclass(frozen=True)
class TenantCipher:
    """A log's own key, opened, with its version."""

    tenant_id: str
    version: int
    cipher: AESGCM

    def wrap(self, key: bytes, *, subject_id: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self.cipher.encrypt(nonce, key, _wrapping(self.tenant_id, subject_id))

    def unwrap(self, wrapped: bytes, *, subject_id: str) -> bytes:
        """Raises SealBroken."""
        try:
            return self.cipher.decrypt(
                wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], _wrapping(self.tenant_id, subject_id)
            )
        except InvalidTag as error:
            raise SealBroken(f"tenant key v{self.version} does not open this subject's key") from error


def new_tenant_key(tenant: str, version: int) -> bytes:
    """A random key, sealed under the newest of SEALING_KEYS."""
    return seal(os.urandom(KEY_BYTES), context=_tenant_context(tenant, version), keyring=keyring())


def tenant_cipher(tenant: str, version: int, sealed: bytes) -> TenantCipher:
    """Raises UnknownKeyVersion, naming the version of SEALING_KEYS that is missing, and SealBroken."""
    key = open_sealed(sealed, context=_tenant_context(tenant, version), keyring=keyring())
    return TenantCipher(tenant, version, AESGCM(key))


def for_batch(cursor: CursorWrapper, subjects: Collection[Subject]) -> dict[Subject, Sealer | None]:
    """The keys of these subjects, None for a destroyed one; a subject that never had one gets it now.

    The logs' locks are held. One query, and one more for the keys that are made.
    """
    if not subjects:
        return {}
    wanted = sorted(subjects)
    tenants = sorted({tenant for tenant, _ in wanted})
    names = [orjson.dumps(column).decode() for column in zip(*wanted, strict=True)]
    cursor.execute(_KEYS, [*names, tenants])
    found: dict[Subject, tuple[UUID, int, bytes | None]] = {}
    sealed: dict[tuple[str, int], bytes] = {}
    for tenant, subject, key_id, version, key in cursor.fetchall():
        if subject is None:
            sealed[tenant, version] = key
        else:
            found[tenant, subject] = (key_id, version, key)
    live = {tenant for tenant, subject in wanted if found.get((tenant, subject), (True,))[-1] is not None}
    ciphers = _tenant_ciphers(cursor, live, sealed)
    newest = {tenant: cipher for (tenant, _), cipher in sorted(ciphers.items(), key=itemgetter(0))}
    keys: dict[Subject, Sealer | None] = {}
    made: list[tuple[UUID, str, str, int, bytes]] = []
    for tenant, subject in wanted:
        if (tenant, subject) not in found:
            key, key_id, cipher = os.urandom(KEY_BYTES), uuid7(), newest[tenant]
            made.append((key_id, tenant, subject, cipher.version, cipher.wrap(key, subject_id=subject)))
            keys[tenant, subject] = Sealer(tenant, subject, key_id, AESGCM(key))
            continue
        key_id, version, wrapped = found[tenant, subject]
        opens = ciphers.get((tenant, version))
        keys[tenant, subject] = None if wrapped is None else _opened(opens, subject, key_id, bytes(wrapped))
    if made:
        cursor.execute(_MAKE_KEYS, [list(column) for column in zip(*made, strict=True)])
    return keys


@requires_transaction
def by_id(ids: Collection[UUID]) -> dict[UUID, Sealer | None]:
    """The active log's subject keys by their ids, None for a destroyed one, for opening what they sealed.

    Raises UnknownKeyVersion, NoTenantKey, SealBroken.
    """
    rows = list(SubjectKey.objects.filter(tenant_id=current().tenant_id, id__in=ids))
    versions = {row.key_version for row in rows if row.destroyed_at is None}
    tenant_keys = TenantKey.objects.filter(tenant_id=current().tenant_id, version__in=versions)
    ciphers = {
        key.version: tenant_cipher(key.tenant_id, key.version, bytes(key.key_sealed))
        for key in tenant_keys
        if key.key_sealed is not None
    }
    return {
        row.id: None
        if row.key_wrapped is None
        else _opened(ciphers.get(row.key_version), row.subject_id, row.id, bytes(row.key_wrapped))
        for row in rows
    }


@requires_transaction
def alive(subject_ids: Iterable[str]) -> set[str]:
    """Which of these subjects have a key in the active log that can still be opened."""
    with connection.cursor() as cursor:
        cursor.execute(_ALIVE, [current().tenant_id, list(subject_ids)])
        return {subject for (subject,) in cursor.fetchall()}


@requires_transaction
def destroyed(subject_ids: Iterable[str]) -> list[tuple[UUID, datetime]]:
    """Of these subjects the keys that there were and are no more: the key's id, and when it was destroyed."""
    gone = SubjectKey.objects.filter(
        tenant_id=current().tenant_id, subject_id__in=list(subject_ids), destroyed_at__isnull=False, key_version__gt=0
    )
    return [(key, at) for key, at in gone.order_by("destroyed_at", "id").values_list("id", "destroyed_at") if at]


@requires_transaction
def of_subject(subject_id: str) -> dict[UUID, Sealer | None]:
    """The subject's key in the active log by the id under which sealed values name it; empty when there never was one.

    Raises what `by_id` raises.
    """
    with connection.cursor() as cursor:
        cursor.execute(_OWN_KEY, [current().tenant_id, subject_id])
        row = cursor.fetchone()
    if row is None:
        return {}
    key_id, version, wrapped, sealed = row
    if wrapped is None:
        return {key_id: None}
    opens = None if sealed is None else tenant_cipher(current().tenant_id, version, bytes(sealed))
    return {key_id: _opened(opens, subject_id, key_id, bytes(wrapped))}


@requires_transaction
def destroy(subject_id: str, *, now: datetime) -> bool:
    """Destroy the subject's key in the active log, for good; False when that was done before.

    Their values in the log, in its bundles and exports can be opened by nobody any more; values that come later are
    written as erased. It is recorded as `subject_key.destroy`. Drain before the transaction, so that what waits in the
    inbox is not kept waiting in clear, and do nothing slow after it: the log stands still until the transaction ends.
    """
    tenant = current().tenant_id
    lock_log(tenant)
    keys = SubjectKey.objects.filter(tenant_id=tenant, subject_id=subject_id)
    if keys.filter(destroyed_at=None).update(key_wrapped=None, destroyed_at=now):
        return True
    if not keys.exists():
        # None was needed yet. Now none will ever be made.
        never = SubjectKey(tenant_id=tenant, subject_id=subject_id, key_version=0, created_at=now, destroyed_at=now)
        never.save(force_insert=True)
        return True
    return False


@requires_transaction
def lock_log(tenant: str) -> None:
    """The sequencer's own lock: nobody sequences this log until the transaction ends."""
    trips.say(connection, "SELECT pg_advisory_xact_lock(hashtextextended('audit:' || %s, 0))", [tenant])


def _tenant_ciphers(
    cursor: CursorWrapper, tenants: set[str], sealed: dict[tuple[str, int], bytes]
) -> dict[tuple[str, int], TenantCipher]:
    """The keys of these logs by log and version, opened; the first one is made here."""
    sealed = {place: key for place, key in sealed.items() if place[0] in tenants}
    for tenant in tenants - {tenant for tenant, _ in sealed}:
        key = sealed[tenant, 1] = new_tenant_key(tenant, 1)
        cursor.execute(_AS_SEQUENCER)
        cursor.execute(_MAKE_TENANT_KEY, [uuid7(), tenant, 1, key])
    return {place: tenant_cipher(*place, bytes(key)) for place, key in sealed.items()}


def _opened(cipher: TenantCipher | None, subject: str, key_id: UUID, wrapped: bytes) -> Sealer:
    if cipher is None:
        raise NoTenantKey("the version of the log's own key that wraps this subject's key is not there")
    return Sealer(cipher.tenant_id, subject, key_id, AESGCM(cipher.unwrap(wrapped, subject_id=subject)))


def _tenant_context(tenant: str, version: int) -> str:
    return f"audit-tenant-key:{tenant}:{version}"


def _wrapping(tenant: str, subject: str) -> bytes:
    return f"kaireon audit subject key\x00{tenant}\x00{subject}".encode()
