"""Fitting a logistic regression and measuring it on later examples.

The only place that loads scikit-learn, when a worker trains: other processes have neither its weight nor its start.
Examples are parted by time. The later fifth measures; of the earlier ones those are learnt whose answer was known
before the first of the later ones, so nothing of the later time is in them.
"""

import hashlib
import math
import platform
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from customers.propensity import features
from customers.propensity.documents import Document
from customers.propensity.examples import Found
from kaireon.lib import product
from kaireon.lib.masking import KeyedHash
from kaireon.tenancy import context
from kaireon.tenancy.keyring import keyring

TEST_SHARE = 0.2
LEAST_EXAMPLES = 100
LEAST_PEOPLE = 20
# A channel that fewer people were on is no feature: its name might be about one of them.
LEAST_ON_CHANNEL = 5
MOST_CHANNELS = 8
BINS = 10
LEAST_IN_BIN = 20
HYPERPARAMETERS = {"C": 1.0, "solver": "lbfgs", "max_iter": 500, "tol": 1e-6}
# Numbers of the table have so many digits.
_DIGITS = 12


class NotTrained(Exception):
    """There is no model in this; the text says why, in counts. What is served stays."""


@dataclass(frozen=True, kw_only=True)
class Measures:
    """How good a model is on the later examples. `calibration`: bins of `{examples, said, came}`, as text."""

    auc: float
    log_loss: float
    brier: float
    calibration_error: float
    calibration: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A model, its measures, and what measures another one on the same later examples."""

    document: Document
    measures: Measures
    counts: dict[str, int]
    base_rate: float
    base_log_loss: float
    lineage: dict[str, Any]
    later: "Later"


class Later:
    """The later examples."""

    def __init__(self, facts: Any, names: list[str], accepted: Any) -> None:
        self._facts, self._names, self._accepted = facts, names, accepted

    def __len__(self) -> int:
        return len(self._accepted)

    def measure(self, document: Document) -> Measures:
        import numpy as np
        from sklearn import metrics

        said, came = _said(document, self._facts, self._names), self._accepted
        bins = max(1, min(BINS, len(came) // LEAST_IN_BIN))
        parts = [part for part in np.array_split(np.argsort(said, kind="stable"), bins) if len(part)]
        table = [(len(part), float(said[part].mean()), float(came[part].mean())) for part in parts]
        return Measures(
            auc=_rounded(metrics.roc_auc_score(came, said)),
            log_loss=_rounded(metrics.log_loss(came, said, labels=[0, 1])),
            brier=_rounded(metrics.brier_score_loss(came, said)),
            calibration_error=_rounded(sum(n * abs(s - c) for n, s, c in table) / len(came)),
            calibration=[{"examples": n, "said": f"{s:.6f}", "came": f"{c:.6f}"} for n, s, c in table],
        )


def fit(found: Found, *, least_positives: int) -> Fitted:
    """Raises NotTrained."""
    if not found.presented_to:
        raise NotTrained("the offer was presented to nobody whose time to answer is over, in these days.")
    if not found.people:
        raise NotTrained(f"all {found.presented_to} people are left out: {_counted(found.left_out)}.")
    import numpy as np
    from threadpoolctl import threadpool_limits

    keep = ~np.isin(np.asarray(found.who), sorted(found.gone))
    order = np.argsort(np.asarray(found.times)[keep], kind="stable")
    times = np.asarray(found.times)[keep][order]
    facts = np.asarray(found.facts).reshape(-1, len(features.NUMERIC))[keep][order]
    accepted = np.asarray(found.accepted, dtype=np.int64)[keep][order]
    who = np.asarray(found.who)[keep][order]
    channel = np.asarray(found.channel)[keep][order]
    people = len(np.unique(who))
    if len(times) < LEAST_EXAMPLES or people < LEAST_PEOPLE:
        raise NotTrained(
            f"too little: {len(times)} examples of {people} people, where {LEAST_EXAMPLES} of {LEAST_PEOPLE} are"
            f" needed{_besides(found.left_out)}."
        )
    split = times[int(len(times) * (1 - TEST_SHARE))]
    test, train = times >= split, times < split - features.ANSWER
    _refuse_one_class(accepted[train], accepted[test], least_positives)

    names = [name for name, _ in sorted(found.channels.items(), key=lambda item: item[1])]
    channels = _channels(names, channel[train], who[train])
    with threadpool_limits(limits=1):
        document = _fitted(facts[train], channel[train], accepted[train], names, channels)
        later = Later(facts[test], [names[n] for n in channel[test]], accepted[test])
        measures = later.measure(document)
    learnt_share = float(accepted[train].mean())
    learnt = sorted({found.people[n] for n in np.unique(who[train | test]).tolist()})
    counts = {
        "train_rows": int(train.sum()),
        "train_positives": int(accepted[train].sum()),
        "test_rows": int(test.sum()),
        "test_positives": int(accepted[test].sum()),
        "people": len(learnt),
    }
    lineage = _lineage(found, document) | {
        "trainingSet": digest(learnt),
        "split": _moment(split),
        "betweenTheTwo": int((~train & ~test).sum()),
    }
    return Fitted(
        document=document,
        measures=measures,
        counts=counts,
        base_rate=_rounded(accepted[test].mean()),
        base_log_loss=_rounded(_log_loss_of(learnt_share, float(accepted[test].mean()))),
        lineage=lineage,
        later=later,
    )


def _refuse_one_class(train: Any, test: Any, least_positives: int) -> None:
    positives = int(train.sum())
    if len(train) and positives in (0, len(train)):
        raise NotTrained(f"one class only: {positives} of {len(train)} examples were accepted.")
    if positives < least_positives or not len(train):
        raise NotTrained(f"too few acceptances: {positives} among {len(train)} examples, {least_positives} are needed.")
    if int(test.sum()) in (0, len(test)):
        raise NotTrained(f"one class only among the later examples: {int(test.sum())} of {len(test)} were accepted.")


def _channels(names: list[str], channel: Any, who: Any) -> list[str]:
    """Those that enough people were on, the commonest of them, in alphabetical order."""
    people: dict[int, set[int]] = {}
    for number, person in zip(channel.tolist(), who.tolist(), strict=True):
        people.setdefault(number, set()).add(person)
    common = Counter(channel.tolist())
    enough = [number for number, those in people.items() if len(those) >= LEAST_ON_CHANNEL and names[number]]
    return sorted(names[n] for n in sorted(enough, key=lambda n: (-common[n], names[n]))[:MOST_CHANNELS])


def _fitted(facts: Any, channel: Any, accepted: Any, names: list[str], channels: list[str]) -> Document:
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    means, scales = facts.mean(axis=0), facts.std(axis=0)
    # A number that is the same for everybody says nothing; nobody shall be divided by nought for it.
    scales[scales < 1e-9] = 1.0
    numbers = [names.index(name) for name in channels]
    on = np.equal.outer(channel, np.asarray(numbers, dtype=channel.dtype)).astype(float)
    model = LogisticRegression(**HYPERPARAMETERS)
    model.fit(np.hstack([(facts - means) / scales, on]), accepted)
    return Document(
        channels=tuple(channels),
        means=tuple(map(float, means)),
        scales=tuple(map(float, scales)),
        coefficients=tuple(map(float, model.coef_[0])),
        intercept=float(model.intercept_[0]),
    )


def _said(document: Document, facts: Any, names: list[str]) -> Any:
    """The same as Document.score, of many."""
    import numpy as np
    from scipy.special import expit

    numbers = len(features.NUMERIC)
    by = dict(zip(document.channels, document.coefficients[numbers:], strict=True))
    z = ((facts - np.asarray(document.means)) / np.asarray(document.scales)) @ np.asarray(
        document.coefficients[:numbers]
    )
    return expit(z + document.intercept + np.asarray([by.get(name, 0.0) for name in names]))


def _lineage(found: Found, document: Document) -> dict[str, Any]:
    import numpy as np
    import scipy
    import sklearn

    asked = found.window
    return {
        "window": {"from": asked.since.isoformat(), "until": asked.until.isoformat(), "arrivalBelow": str(asked.below)},
        "presentedTo": found.presented_to,
        "rowsRead": found.rows_read,
        "leftOut": dict(sorted(found.left_out.items())),
        "sample": {"seed": str(found.seed), "share": f"{found.share:.6f}"},
        "features": document.names,
        "channelsNotUsed": len(found.channels) - len(document.channels),
        "hyperparameters": {name: str(value) for name, value in HYPERPARAMETERS.items()},
        "versions": {
            "product": product.VERSION,
            "form": features.FORM,
            "python": platform.python_version(),
            "scikit-learn": sklearn.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
    }


def digest(refs: Iterable[UUID]) -> str:
    """SHA-256 over the keyed hashes of the people, in order: shows that a set is the same, and names nobody."""
    hashed = KeyedHash(keyring=keyring(), tenant_id=context.tenant_id(), purpose="training set")
    return hashlib.sha256("\n".join(sorted(hashed(str(ref)) for ref in refs)).encode()).hexdigest()


def _log_loss_of(said: float, came: float) -> float:
    return -(came * math.log(said) + (1 - came) * math.log(1 - said))


def _moment(seconds: Any) -> str:
    # To the day: whose presentation it was is nobody's business.
    return datetime.fromtimestamp(float(seconds), UTC).date().isoformat()


def _rounded(value: Any) -> float:
    return round(float(value), _DIGITS)


def _counted(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(reasons.items())) or "none"


def _besides(reasons: Mapping[str, int]) -> str:
    return f"; left out: {_counted(reasons)}" if reasons else ""
