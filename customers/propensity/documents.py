"""A model as text: coefficients and what they belong to, as canonical JSON. No code, no rows, nobody's id.

It is read by arithmetic of our own, in any process, and only when its keyed seal fits: the HMAC of its SHA-256 and of
the version it belongs to, under the tenant's key.
"""

import hashlib
import hmac
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from customers.propensity import features
from kaireon.lib.canonical import canonical
from kaireon.lib.masking import KeyedHash, keyed_hashes
from kaireon.tenancy import context
from kaireon.tenancy.keyring import keyring

_PURPOSE = "propensity model"
CHANNEL = "channel="


class ModelRefused(RuntimeError):
    """The bytes of a model are not those that were sealed, or of a form that is not known here. Train it anew."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """A logistic regression. Of each number of NUMERIC: (x - mean) / scale; of each channel one or nought."""

    channels: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float

    @property
    def names(self) -> list[str]:
        """Of the coefficients, in order."""
        return [*features.NUMERIC, *(f"{CHANNEL}{name}" for name in self.channels)]

    def content(self) -> bytes:
        return canonical(
            {
                "form": features.FORM,
                "answerDays": features.ANSWER_DAYS,
                "lookBackDays": features.LOOK_BACK_DAYS,
                "features": self.names,
                "means": list(self.means),
                "scales": list(self.scales),
                "coefficients": list(self.coefficients),
                "intercept": self.intercept,
            }
        )

    def score(self, facts: Sequence[float], channel: str) -> float:
        """How likely it is that a presentation is accepted, 0 to 1."""
        numbers = len(features.NUMERIC)
        z = self.intercept
        for x, mean, scale, by in zip(facts, self.means, self.scales, self.coefficients[:numbers], strict=True):
            z += by * (x - mean) / scale
        if channel in self.channels:
            z += self.coefficients[numbers + self.channels.index(channel)]
        return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def seal(content: bytes, *, version: UUID) -> str:
    """What proves that these bytes are that version's: needs the tenant's key."""
    return KeyedHash(keyring=keyring(), tenant_id=context.tenant_id(), purpose=_PURPOSE)(_sealed(content, version))


def opened(content: bytes, *, version: UUID, sealed: str) -> Document:
    """Raises ModelRefused."""
    expected = keyed_hashes(
        _sealed(content, version), keyring=keyring(), tenant_id=context.tenant_id(), purpose=_PURPOSE
    )
    # Each is compared, so that the time says nothing of which one it was.
    if True not in [hmac.compare_digest(one.encode(), sealed.encode()) for one in expected]:
        raise ModelRefused("its bytes are not those that were sealed")
    return _parsed(json.loads(content))


def _parsed(said: dict[str, Any]) -> Document:
    names = said["features"]
    numbers = len(features.NUMERIC)
    if said["form"] != features.FORM or names[:numbers] != list(features.NUMERIC):
        raise ModelRefused(f"it is of form {said['form']}, which is not known here")
    return Document(
        channels=tuple(name.removeprefix(CHANNEL) for name in names[numbers:]),
        means=tuple(said["means"]),
        scales=tuple(said["scales"]),
        coefficients=tuple(said["coefficients"]),
        intercept=said["intercept"],
    )


def _sealed(content: bytes, version: UUID) -> str:
    return f"{version}:{sha256(content)}"
