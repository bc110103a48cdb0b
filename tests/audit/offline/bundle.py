"""Logs and evidence bundles made by docs/evidence.md alone: no code of the product but the tree's."""

import base64
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.tree import merkle

Json = Any
Record = dict[str, Json]

# Values that a writer of JSON can get wrong, one for each record in turn.
UNUSUAL: list[Json] = [
    {"name": "Ada", "score": 3, "tags": ["a", "b"], "active": True, "note": None},
    {"amount": 12.5, "ratio": 0.1, "tiny": 1e-7, "small": 0.00001, "whole": 1e21, "below": -2.5e-300},
    {"text": 'quote " backslash \\ slash / tab \t newline \n bell \x07 delete \x7f'},
    {"€": 1, "Ünïcode": "Frühling", "\u00e9": "one", "e\u0301": "another"},
    {"\U0001f600": "beyond", "\ufb33": "above the surrogates", "\U0001f4a9\ufb33": "both"},
    {"emoji": "\U0001f600", "bmp": "\ufb33", "z": {"y": {"x": [[], {}, [{}, [1]]]}}},
    {"largest": 2**53 - 1, "smallest": -(2**53) + 1, "zero": 0, "minus": -7},
    {"before": {"changes": 1}, "entityId": "x", "changes": {"entityId": 2}},
    {"sealed": {"subject": "c-17", "text": "k1:AbCdEf0123+/=="}, "list": [{"a": 1}, {"a": 2}]},
    {"": "", "empty": [], "none": {}},
]


def key(label: str) -> Ed25519PrivateKey:
    """Always the same one for the same label."""
    return Ed25519PrivateKey.from_private_bytes(sha256(label.encode()).digest())


def raw(private: Ed25519PrivateKey) -> bytes:
    return private.public_key().public_bytes_raw()


def base64_of(value: bytes) -> str:
    return base64.b64encode(value).decode()


def key_id(name: str, kind: int, public_key: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:4]


def verifier_key(name: str, private: Ed25519PrivateKey, kind: int = 1) -> str:
    public = raw(private)
    return f"{name}+{key_id(name, kind, public).hex()}+{base64_of(bytes([kind]) + public)}"


def line(record: Record) -> bytes:
    return rfc8785.dumps(record)


def integrity_hash(record: Record) -> str:
    texts = [
        record["action"],
        record["entityType"],
        record["entityId"],
        record["entityName"],
        None if record["changes"] is None else rfc8785.dumps(record["changes"]).decode(),
        record["userId"],
        record["userName"],
        record["tenantId"],
        record["requestId"],
        record["prevHash"],
    ]
    return sha256("".join(text or "" for text in texts).encode()).hexdigest()


def chained(records: Iterable[Record], prev: str = "genesis", first: int = 1) -> list[Record]:
    """The records with seq, prevHash and integrityHash of their own."""
    chain = []
    for seq, record in enumerate(records, first):
        linked = {**record, "seq": seq, "prevHash": prev}
        linked["integrityHash"] = prev = integrity_hash(linked)
        chain.append(linked)
    return chain


def plain_record(number: int, tenant: str = "acme") -> Record:
    """One of a kind: create, update, delete and event in turn, with an unusual value now and then."""
    kind = ("create", "update", "delete", "dossier.exported")[number % 4]
    row = {"id": f"row-{number}", "version": number, "status": "active", "amount": f"{number}.00"}
    value: Json = UNUSUAL[number // 4 % len(UNUSUAL)] if number % 3 == 0 else row
    return {
        "id": f"0190a000-0000-7000-8000-{number:012x}",
        "action": kind,
        "entityType": "Offer" if number % 2 else "Customer",
        "entityId": f"o-{number}" if number % 5 else None,
        "entityName": (None, "Frühling", 'say "hi"\n', "")[number // 2 % 4],
        "changes": {
            "create": value,
            "update": {"status": ["new", "active"], "x": [None, value]},
            "delete": None,
            "dossier.exported": {"count": number},
        }[kind],
        "before": value if kind in ("update", "delete") else None,
        "after": value if kind in ("create", "update") else None,
        "entityVersion": number if number % 3 else None,
        "userId": f"u-{number % 7}" if number % 7 else None,
        "userName": "Ada" if number % 7 else "system",
        "actorType": ("system", "user", "api_key", "job")[number % 4],
        "tenantId": tenant,
        "requestId": f"req-{number}" if number % 6 else None,
        # Not in the order of seq.
        "timestamp": f"2026-01-15T09:{number // 60 % 60:02}:{number * 7 % 60:02}.{number * 37 % 1_000_000:06}Z",
    }


@dataclass(frozen=True)
class Log:
    """A log with its keys. `replace` it to make another."""

    records: list[Record]
    tenant: str = "acme"
    host: str = "kaireon.example"
    # Oldest first.
    keys: tuple[Ed25519PrivateKey, ...] = (key("first"),)
    # Which of them signs; the newest.
    signer: int = -1
    witnesses: dict[str, Ed25519PrivateKey] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return f"{self.host}/{self.tenant}"

    @property
    def leaves(self) -> list[bytes]:
        return [merkle.leaf_hash(line(record)) for record in self.records]

    def root(self, size: int) -> bytes:
        return merkle.root(size, _node(self.leaves))

    def checkpoint(self, size: int) -> bytes:
        text = f"{self.origin}\n{size}\n{base64_of(self.root(size))}\n"
        return signed_note(text, self.origin, self.keys[self.signer], self.witnesses)

    def keys_file(self) -> Json:
        entries = []
        for version, private in enumerate(self.keys, 1):
            public = raw(private)
            crosses = []
            if version > 1:
                before = self.keys[version - 2]
                statement = rotation(verifier_key(self.origin, before), verifier_key(self.origin, private))
                crosses = [
                    {"by": key_id(self.origin, 1, raw(by)).hex(), "signature": base64_of(by.sign(statement))}
                    for by in (before, private)
                ]
            entries.append(
                {
                    "keyId": key_id(self.origin, 1, public).hex(),
                    "name": self.origin,
                    "version": version,
                    "publicKey": base64_of(public),
                    "createdAt": f"2026-01-{version:02}T00:00:00.000000Z",
                    "retiredAt": None if version == len(self.keys) else f"2026-01-{version + 1:02}T00:00:00.000000Z",
                    "crossSignatures": crosses,
                }
            )
        witnesses = [
            {"keyId": key_id(name, 4, raw(private)).hex(), "name": name, "publicKey": base64_of(raw(private))}
            for name, private in self.witnesses.items()
        ]
        return {"format": 1, "keys": entries, "witnesses": witnesses}

    def bundle(
        self, first: int = 1, last: int | None = None, size: int | None = None, *, marks: bool = True
    ) -> "Bundle":
        size = size or len(self.records)
        last = last or size
        left, right = merkle.span(first - 1, last, size, _node(self.leaves[:size]))
        lines = [line(record) for record in self.records[first - 1 : last]]
        numbers = {"firstSeq": first, "lastSeq": last, "treeSize": size, "rootHash": self.root(size).hex()}
        proofs: Json = {"format": 1, **numbers, "left": [h.hex() for h in left], "right": [h.hex() for h in right]}
        if marks:
            proofs["marks"] = base64_of(b"".join(merkle.leaf_hash(each)[:2] for each in lines))
        files = {
            "records.ndjson": b"".join(each + b"\n" for each in lines),
            "proofs.json": rfc8785.dumps(proofs),
            "checkpoint.txt": self.checkpoint(size),
            "keys.json": rfc8785.dumps(self.keys_file()),
            "kaireon_verify.py": b"# the verifier\n",
            "README.txt": b"How to check this.\n",
        }
        manifest = {
            "format": "kaireon-evidence-1",
            "tenantId": self.tenant,
            "origin": self.origin,
            "from": None,
            "to": None,
            "records": last - first + 1,
            "createdAt": "2026-02-01T00:00:00.000000Z",
            **numbers,
        }
        return Bundle(self, manifest, files)


@dataclass
class Bundle:
    """The files of a bundle before they are named in the manifest and signed."""

    log: Log
    manifest: Json
    files: dict[str, bytes]

    def changed(self, name: str, change: Callable[[bytes], bytes]) -> "Bundle":
        """With one file changed, as its maker would: the manifest names what the file is then."""
        return replace(self, files={**self.files, name: change(self.files[name])})

    def with_json(self, name: str, change: Callable[[Json], Json]) -> "Bundle":
        return self.changed(name, lambda content: rfc8785.dumps(change(json.loads(content))))

    def with_manifest(self, **fields: Json) -> "Bundle":
        return replace(self, manifest={**self.manifest, **fields})

    def signed(self) -> dict[str, bytes]:
        """All files, the manifest's signature last."""
        named = {name: sha256(content).hexdigest() for name, content in self.files.items()}
        manifest = rfc8785.dumps({"files": named, **self.manifest})
        signer = self.log.keys[self.log.signer]
        return {**self.files, "manifest.json": manifest, "manifest.sig": self.signature(manifest, signer)}

    def signature(self, manifest: bytes, signer: Ed25519PrivateKey) -> bytes:
        signature = signer.sign(b"kaireon manifest v1\n" + manifest)
        return f"{key_id(self.log.origin, 1, raw(signer)).hex()} {base64_of(signature)}\n".encode()

    def zip(self) -> bytes:
        return zipped(self.signed())


def rotation(before: str, after: str) -> bytes:
    return f"kaireon key rotation v1\n{before}\n{after}\n".encode()


def signed_note(
    text: str, name: str, private: Ed25519PrivateKey, witnesses: dict[str, Ed25519PrivateKey] | None = None
) -> bytes:
    lines = [f"— {name} {base64_of(key_id(name, 1, raw(private)) + private.sign(text.encode()))}\n"]
    lines += [cosignature(text, witness, by) for witness, by in (witnesses or {}).items()]
    return (text + "\n" + "".join(lines)).encode()


def cosignature(text: str, name: str, private: Ed25519PrivateKey, seconds: int = 1_769_904_000) -> str:
    signature = private.sign(f"cosignature/v1\ntime {seconds}\n{text}".encode())
    return f"— {name} {base64_of(key_id(name, 4, raw(private)) + seconds.to_bytes(8, 'big') + signature)}\n"


def zipped(files: dict[str, bytes] | Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, content)
    return buffer.getvalue()


def _node(leaves: list[bytes]) -> merkle.Node:
    return lambda level, index: merkle.perfect(leaves[index << level : (index + 1) << level])
