"""Whatever comes, the verifier says no in its own words, or yes to what was signed."""

import io
import json
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.offline import kaireon_verify
from audit.offline.kaireon_verify import FILES, Broken, NothingToSay
from tests.audit.offline.bundle import Log, chained, key, line, plain_record, zipped

LOG = Log(
    chained(plain_record(number) for number in range(1, 13)),
    keys=(key("first"), key("second")),
    witnesses={"w.example": key("witness")},
)
FILES_OF_IT = LOG.bundle(3, 11).signed()
ZIP = zipped(FILES_OF_IT)
LINES = b"".join(line(record) + b"\n" for record in LOG.records)
REASONS = {
    "hash_mismatch",
    "chain_link_mismatch",
    "sequence_gap",
    "truncated",
    "checkpoint_mismatch",
    "not_canonical",
    "malformed",
    "file_mismatch",
    "signature_invalid",
    "key_not_trusted",
    "unsafe_zip",
}

PATIENT = settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

# Bytes that mean something in one of the formats.
MEANT = st.sampled_from(
    [
        *(b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"\xff" * 4, b"\x00" * 8, b"\n", b"\n\n", b'"'),
        *(b"{", b"}", b"[", b"null", b"-0", b"1e999", b"9" * 400, b"\\u0000", b"\\ud800", b"\xed\xa0\x80"),
        *(b"\xe2\x80\x94 ", b"=", b"genesis"),
    ]
)


@st.composite
def edits(draw, content):
    """The content with a few pieces taken out, put in, doubled or moved."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(changed)))
        length = draw(st.integers(0, 40))
        piece = draw(st.one_of(st.binary(max_size=12), MEANT, st.just(bytes(changed[place : place + length]))))
        changed[place : place + draw(st.sampled_from([0, len(piece), length]))] = piece
    return bytes(changed)


def verdict(content):
    """None when refused. Anything but the verifier's own two exceptions is a failure of it."""
    try:
        return kaireon_verify.check(io.BytesIO(content))
    except NothingToSay:
        return None
    except Broken as e:
        broken = e
    said = kaireon_verify.answer_broken(broken, None)
    assert broken.reason in REASONS
    assert said.as_text().isprintable()
    assert json.loads(said.as_json())["exit"] == 1
    return None


@PATIENT
@given(st.binary(max_size=2000), st.sampled_from([b"", b"PK\x03\x04", b"{", b'{"action":"']))
def test_any_bytes(content, start):
    assert verdict(start + content) is None


@PATIENT
@given(edits(ZIP))
def test_a_changed_zip(content):
    if verdict(content) is not None:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert {name: archive.read(name) for name in archive.namelist()} == FILES_OF_IT


@PATIENT
@given(st.data())
def test_changed_files(data):
    name = data.draw(st.sampled_from(FILES))
    changed = data.draw(edits(FILES_OF_IT[name]))

    if verdict(zipped({**FILES_OF_IT, name: changed}, zipfile.ZIP_STORED)) is not None:
        assert changed == FILES_OF_IT[name]


@PATIENT
@given(st.data())
def test_changed_files_that_were_signed(data):
    """By somebody with the key: whatever is accepted then is in the form that the page asks for."""
    bundle = LOG.bundle(3, 11)
    name = data.draw(st.sampled_from(["records.ndjson", "proofs.json", "checkpoint.txt", "keys.json"]))
    changed = data.draw(edits(bundle.files[name]))
    found = verdict(bundle.changed(name, lambda _: changed).zip())

    if found is not None and name == "records.ndjson":
        assert changed == bundle.files[name]
    if found is not None:
        assert (found.tree_size, found.root) == (12, LOG.root(12).hex())


@PATIENT
@given(edits(LINES))
def test_changed_records_alone(content):
    """They may hold as another stretch, or where the chain does not look; the form always does."""
    found = verdict(content)
    if found is not None:
        lines = content.split(b"\n")[:-1]
        assert found.records == len(lines)
        for seq, each in enumerate(lines, found.first):
            record = json.loads(each)
            assert line(record) == each
            assert record["seq"] == seq


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@PATIENT
@given(st.data())
def test_any_value_in_any_field(data):
    bundle = LOG.bundle(3, 11)
    name = data.draw(st.sampled_from(["proofs.json", "keys.json", "manifest.json"]))
    files = bundle.signed()
    value = json.loads(files[name])
    target = value
    while isinstance(target, dict | list) and target:
        place = data.draw(st.sampled_from(sorted(target) if isinstance(target, dict) else range(len(target))))
        if not isinstance(target[place], dict | list) or not target[place] or data.draw(st.booleans()):
            old, target[place] = target[place], data.draw(JSON)
            changed = json.dumps(target[place]) != json.dumps(old)
            break
        target = target[place]
    files[name] = json.dumps(
        value, ensure_ascii=data.draw(st.booleans()), separators=(",", ":"), sort_keys=True
    ).encode(errors="surrogatepass")
    if name == "manifest.json":
        files["manifest.sig"] = bundle.signature(files[name], LOG.keys[-1])
        found = verdict(zipped(files))
    else:
        found = verdict(bundle.changed(name, lambda _: files[name]).zip())
    if found is not None and changed:
        # What nothing hangs on: moments, versions of the only key that has them, what was asked for.
        assert name in ("keys.json", "manifest.json")


@pytest.mark.parametrize(
    "text",
    ["", "x", "+", "a+b+c", "a+00000000+AAAA", "=" * 44, "A" * 44, "0" * 64, "é" * 64, "/dev/null", "\x00", "a" * 5000],
)
@pytest.mark.parametrize("option", ["--pubkey", "--witness"])
def test_any_key(text, option, tmp_path, capsys):
    path = tmp_path / "bundle.zip"
    path.write_bytes(ZIP)

    assert kaireon_verify.main([str(path), option, text]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"NOT CHECKED: {option}: ")
    assert said.out == ""


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=120))
def test_any_text_as_a_key(text):
    for kind in (kaireon_verify.SIGNS, kaireon_verify.COSIGNS):
        with pytest.raises(NothingToSay):
            kaireon_verify.PinnedKey.parse(text, kind)
