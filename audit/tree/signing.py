"""The keys that sign a log's checkpoints: made at first need, sealed at rest, replaced by cross-signing."""

import base64
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import connection

from audit import services
from audit.models import SigningKey
from audit.tree import notes
from kaireon.lib import clock
from kaireon.lib.sealing import CannotOpen
from kaireon.tenancy.context import current, requires_transaction
from kaireon.tenancy.keyring import open_text, seal_text

_ROTATION = "kaireon key rotation v1\n{before}\n{after}\n"


@dataclass(frozen=True, kw_only=True)
class Signer:
    """The newest key of a log, opened. Keep it no longer than the signature takes."""

    version: int
    private: Ed25519PrivateKey
    public: notes.PublicKey

    def sign(self, text: str) -> notes.Note:
        return notes.sign(text, name=self.public.name, key=self.private)


def origin(tenant_id: str) -> str:
    """The log's name in its checkpoints, and its key's: AUDIT_ORIGIN, a slash, the tenant."""
    return f"{settings.AUDIT_ORIGIN}/{tenant_id}"


def public_key(key: SigningKey) -> notes.PublicKey:
    return notes.PublicKey(key.name, bytes(key.public_key))


def keys(tenant_id: str) -> list[SigningKey]:
    """Every key the log ever had, the first one first."""
    return list(SigningKey.objects.filter(tenant_id=tenant_id).order_by("version"))


def trusted(tenant_id: str) -> list[notes.PublicKey]:
    """Those of the log's keys that are ours, the newest first: whose private part is sealed here, under a master key.

    Whoever has the database alone can put a key of their own there, but not seal it. An older key that cannot be opened
    any more is vouched for by the one after it.
    """
    found: list[notes.PublicKey] = []
    after: SigningKey | None = None
    for key in reversed(keys(tenant_id)):
        is_ours = _is_ours(key) or (after is not None and _vouches_for(after, key))
        if is_ours:
            found.append(public_key(key))
        after = key if is_ours else None
    return found


def _is_ours(key: SigningKey) -> bool:
    try:
        return opened(key).private.public_key().public_bytes_raw() == bytes(key.public_key)
    except (CannotOpen, ValueError):
        return False


def _vouches_for(after: SigningKey, before: SigningKey) -> bool:
    public = public_key(after)
    statement = _ROTATION.format(before=public_key(before), after=public).encode()
    stored = after.cross_signatures
    for signed in stored if isinstance(stored, list) else []:
        try:
            if signed["by"] == public.key_id.hex():
                public.check(statement, base64.b64decode(signed["signature"], validate=True))
                return True
        except (notes.NotSigned, KeyError, TypeError, ValueError):
            # Not what was stored when the key was made.
            continue
    return False


@requires_transaction
def signer() -> Signer:
    """The active scope's newest key; its first one is made here."""
    tenant = current().tenant_id
    newest = SigningKey.objects.filter(tenant_id=tenant).order_by("-version").first()
    return opened(newest or _made(tenant))


@requires_transaction
def rotate() -> Signer:
    """Make a new key: the one before says that it is next, and retires. Old checkpoints stay valid."""
    tenant = current().tenant_id
    _one_at_a_time(tenant)
    before = signer()
    retired = SigningKey.objects.get(tenant_id=tenant, version=before.version)
    key = _made(tenant, before=before)
    services.action("audit_log.key_retired", entity=retired)
    SigningKey.objects.filter(pk=retired.pk).update(retired_at=key.created_at)
    return opened(key)


def _made(tenant: str, *, before: Signer | None = None) -> SigningKey:
    _one_at_a_time(tenant)
    if before is None and (found := SigningKey.objects.filter(tenant_id=tenant).order_by("-version").first()):
        return found
    private = Ed25519PrivateKey.generate()
    public = notes.PublicKey(origin(tenant), private.public_key().public_bytes_raw())
    key = SigningKey(
        tenant_id=tenant,
        version=before.version + 1 if before else 1,
        name=public.name,
        public_key=public.raw,
        private_sealed=seal_text(private.private_bytes_raw().hex(), context=_context(tenant)),
        cross_signatures=_cross_signed(before, private, public) if before else [],
        created_at=clock.now(),
    )
    services.action("audit_log.key_made", entity=key)
    key.save(force_insert=True)
    return key


def _cross_signed(before: Signer, private: Ed25519PrivateKey, public: notes.PublicKey) -> list[dict[str, str]]:
    statement = _ROTATION.format(before=before.public, after=public).encode()
    return [
        {"by": key_id.hex(), "signature": base64.b64encode(key.sign(statement)).decode()}
        for key_id, key in ((before.public.key_id, before.private), (public.key_id, private))
    ]


def opened(key: SigningKey) -> Signer:
    """Raises CannotOpen when the master key that sealed it is gone."""
    raw = bytes.fromhex(open_text(bytes(key.private_sealed), context=_context(key.tenant_id)))
    return Signer(version=key.version, private=Ed25519PrivateKey.from_private_bytes(raw), public=public_key(key))


def _context(tenant: str) -> str:
    return f"audit-signing-key:{tenant}"


def _one_at_a_time(tenant: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('audit-key:' || %s, 0))", [tenant])
