"""Any single bit of any file in a bundle matters."""

import functools
import io
import random
import zipfile

import pytest

from audit.offline import kaireon_verify
from audit.offline.kaireon_verify import FILES, Broken, NothingToSay
from tests.audit.offline.bundle import Log, chained, key, plain_record, zipped

SMALL = Log(
    chained(plain_record(n) for n in range(1, 4)),
    keys=(key("first"), key("second")),
    witnesses={"w.example": key("witness")},
)


@pytest.fixture(autouse=True)
def _remembered_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same signature is checked for thousands of bundles: what came out the first time is true again."""
    for name in ("verifies", "is_public_key"):
        monkeypatch.setattr(kaireon_verify, name, functools.cache(getattr(kaireon_verify, name)))


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def refusal(content: bytes) -> Exception | None:
    try:
        kaireon_verify.check(io.BytesIO(content))
    except (Broken, NothingToSay) as e:
        return e
    return None


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_every_bit_of_every_file(name):
    # Without marks: what they find, the tree finds too.
    files = SMALL.bundle(3, 3, marks=False).signed()
    assert refusal(zipped(files, zipfile.ZIP_STORED)) is None

    for bit in range(8 * len(files[name])):
        changed = {**files, name: flipped(files[name], bit)}
        assert refusal(zipped(changed, zipfile.ZIP_STORED)), f"bit {bit % 8} of byte {bit // 8} of {name}"


def test_bits_of_a_larger_bundle(log):
    files = log.bundle(5, 55).signed()
    chance = random.Random(4)
    for name in FILES:
        for bit in chance.sample(range(8 * len(files[name])), 30):
            broken = refusal(zipped({**files, name: flipped(files[name], bit)}))
            assert broken, f"bit {bit % 8} of byte {bit // 8} of {name}"


def test_a_flipped_bit_of_a_record_names_that_record(log):
    files = log.bundle(5, 55).signed()
    lines = files["records.ndjson"].split(b"\n")
    chance = random.Random(4)
    for place in (0, 1, 25, 49, 50):
        for bit in chance.sample(range(8 * len(lines[place])), 20):
            changed = flipped(lines[place], bit)
            content = b"\n".join([*lines[:place], changed, *lines[place + 1 :]])
            broken = refusal(zipped({**files, "records.ndjson": content}))
            assert isinstance(broken, Broken)
            # What is taken for another seq is named by it.
            assert broken.seq in (place + 5, None if b"\n" in changed else place + 5) or b'"seq":' in changed


def test_the_zip_around_the_files_changes_nothing_unseen():
    """A bit of the container either breaks it, or leaves every file as it was to any reader."""
    files = SMALL.bundle().signed()
    content = zipped(files)
    unseen = 0
    for bit in range(0, 8 * len(content), 3):
        changed = flipped(content, bit)
        if refusal(changed) is None:
            unseen += 1
            with zipfile.ZipFile(io.BytesIO(changed)) as archive:
                assert {name: archive.read(name) for name in archive.namelist()} == files
    # Times, versions and permissions: nothing that a bundle consists of.
    assert unseen < 8 * len(files) * 60 / 3
