"""A record's contents come out the same on the quick way, which almost every row takes, and on the long one."""

import json
import random
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit import contents
from audit.chain import leaf_hash_around
from audit.sealing.sealed import Sealer
from kaireon.lib.canonical import canonical
from tests.audit.test_chain import LARGE, RECORD

KEY = Sealer("acme", "s-1", UUID(int=7), AESGCM(bytes(32)))
ODD = [
    0,
    -(2**53) + 1,
    2**53,
    1.5,
    1.0,
    -0.1,
    1e-9,
    123456789.25,
    0.1000000000000000055,
    True,
    None,
    "",
    "1.5",
    "12345678901234567890",
    "Ωμέγα 漢字 \U0001d11e \uffff",
    'a "quoted" \\ text, [1.5] {',
    "\x01 \n \\u0041",
    [],
    [1, 2.5, [None, {"b": 1, "a": [True]}]],
    {"z": 1, "a": 1.0, "\uffff": 2, "\U0001d11e": 3},
    {},
]


def rows(seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A row before and after, some of whose columns changed."""
    chosen = random.Random(seed)
    names = ["id", "email", "name", "version", "a", "b_c", "aa"] + (
        ["ключ", "\uffff", "\U0001d11e"] if seed % 5 == 0 else []
    )
    before = {name: chosen.choice(ODD) for name in names}
    after = {name: chosen.choice(ODD) if chosen.random() < 0.4 else value for name, value in before.items()}
    if seed % 7 == 0:
        after.pop(chosen.choice(names))
    return before, after


def written(row: dict[str, Any] | None) -> str | None:
    """As `jsonb::text` has it."""
    return None if row is None else json.dumps(row, ensure_ascii=False)


def opened(part: bytes | None) -> Any:
    """With its sealed values in clear: each has a nonce of its own."""

    def clear(value: Any, column: str) -> Any:
        if isinstance(value, dict) and "sealed" in value:
            return {"was sealed": KEY.open(value, column=f"Thing.{column}")}
        return [clear(item, column) for item in value] if isinstance(value, list) else value

    return None if part is None else {name: clear(value, name) for name, value in json.loads(part).items()}


@pytest.mark.parametrize("operation", "IUD")
def test_both_ways_write_the_same(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quick, long = [], []
    for made in (quick, long):
        for seed in range(300):
            before, after = rows(seed)
            texts = (written(None if operation == "I" else before), written(None if operation == "D" else after))
            plain = contents.plain(operation, None, *texts)
            columns = "email,version" if seed % 3 == 0 else "email,name"
            sealed = contents.sealed(
                *texts, kind="Thing", columns=columns, subjects=("s-1", None), key_of=lambda _: KEY
            )
            made.append((plain[:4], [opened(part) for part in sealed[:3]], sealed.version))
            for part in sealed[:3]:
                assert part is None or part == canonical(json.loads(part))
            # What is stored is what was hashed.
            shown = sealed.texts if operation == "U" else (None, *sealed.texts[1:])
            assert shown == tuple(
                part.decode() if part and (n or operation == "U") else None for n, part in enumerate(sealed[:3])
            )
        monkeypatch.setattr(contents, "_tame", lambda text: None)
    assert quick == long


@pytest.mark.parametrize("value", [{"of": ODD}, {"2^53+1": 2**53 + 1}, {}, [], "text", None], ids=repr)
def test_both_ways_read_an_event_the_same(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = contents.plain("E", json.dumps(value), None, None)
    monkeypatch.setattr(contents, "_tame", lambda text: None)
    assert contents.plain("E", json.dumps(value), None, None)[:4] == quick[:4]


def test_no_field_of_a_record_without_a_canonical_form_is_hashed() -> None:
    others = {name: value for name, value in RECORD.items() if name not in LARGE}
    for odd in ("secret\ud800", 2**53, object()):
        with pytest.raises(ValueError, match="no canonical form") as refused:
            leaf_hash_around(others | {"entityName": odd}, changes=None, before=None, after=None)
        assert "secret" not in str(refused.value)
