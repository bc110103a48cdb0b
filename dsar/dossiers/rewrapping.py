"""The data keys of dossiers wrapped anew, under the newest of SEALING_KEYS. What they seal stays as it lies.

Part of `manage.py audit_rotate_keys`. Dossiers of earlier versions have their key before what it seals, in one value.
"""

from django.db.models import BinaryField, Func, Value
from django.db.models.functions import Coalesce

import audit
from dsar.models import Dossier
from dsar.models.dossier import DossierQuerySet
from kaireon.lib.sealing import rewrap
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.keyring import WrappedKeys, keyring

VERB = "dsar.dossier.rewrapped"
_VERSION_STARTS, _VERSION_BYTES = 4, 4


@requires_transaction
def behind() -> int:
    """How many dossiers of the active tenant need an older master key."""
    return _behind().count()


@requires_transaction
def rewrap_some(most: int) -> int:
    """Wrap the keys of so many of them; returns how many there were. Raises UnknownKeyVersion and SealBroken."""
    found = list(_behind().select_for_update().order_by("pk")[:most])
    for dossier in found:
        audit.action(VERB, entity=dossier)
        column = "sealed" if dossier.key_wrapped is None else "key_wrapped"
        moved = rewrap(bytes(getattr(dossier, column)), keyring=keyring())
        Dossier.objects.filter(pk=dossier.pk).update(**{column: moved})
    return len(found)


def _behind() -> DossierQuerySet:
    version = Func(
        Coalesce("key_wrapped", "sealed"),
        Value(_VERSION_STARTS),
        Value(_VERSION_BYTES),
        function="substr",
        output_field=BinaryField(),
    )
    return Dossier.objects.alias(version=version).exclude(version=keyring().newest.to_bytes(_VERSION_BYTES))


KEYS = WrappedKeys(name="dossiers", behind=behind, rewrap_some=rewrap_some)
