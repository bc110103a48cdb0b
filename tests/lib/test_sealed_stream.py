"""Long values sealed in chunks: what was written comes back, and nothing else opens."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaireon.lib import sealing
from kaireon.lib.sealed_stream import CHUNK_BYTES, StreamSealer, opened, sealed_size
from kaireon.lib.sealing import CannotOpen, Keyring, NotSealed, SealBroken, UnknownKeyVersion

KEYRING = Keyring({1: b"\x01" * 32})
KEY = b"\x07" * 32
PREFIX = 7
SEALED_CHUNK = CHUNK_BYTES + 16


def sealed(*parts: bytes, key: bytes = KEY, context: str = "c") -> bytes:
    sink = io.BytesIO()
    sealer = StreamSealer(sink, key=key, context=context)
    for part in parts:
        sealer.write(part)
    sealer.close()
    return sink.getvalue()


def opens(stream: bytes, *, key: bytes = KEY, context: str = "c") -> bytes:
    return b"".join(opened(io.BytesIO(stream).read, key=key, context=context))


THREE = bytes(range(256)) * (3 * CHUNK_BYTES // 256)
TOKEN = sealed(THREE)


def chunks() -> list[bytes]:
    return [TOKEN[start : start + SEALED_CHUNK] for start in range(PREFIX, len(TOKEN), SEALED_CHUNK)]


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 200_000])
def test_what_was_sealed_opens_whatever_its_size(size: int) -> None:
    plaintext = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    stream = sealed(plaintext)
    assert opens(stream) == plaintext
    assert len(stream) == sealed_size(size)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 3 * CHUNK_BYTES), max_size=4))
def test_it_does_not_matter_in_which_parts_it_was_written(sizes: list[int]) -> None:
    assert opens(sealed(*(b"x" * size for size in sizes))) == b"x" * sum(sizes)


def test_a_source_that_gives_less_than_asked_for_is_read_on() -> None:
    source = io.BytesIO(TOKEN)
    assert b"".join(opened(lambda size: source.read(min(size, 1000)), key=KEY, context="c")) == THREE


@pytest.mark.parametrize(
    "altered",
    {
        "a bit of the prefix": bytes([TOKEN[0] ^ 1]) + TOKEN[1:],
        "a bit of the first chunk": TOKEN[:100] + bytes([TOKEN[100] ^ 1]) + TOKEN[101:],
        "a bit of the last tag": TOKEN[:-1] + bytes([TOKEN[-1] ^ 1]),
        "the last byte missing": TOKEN[:-1],
        "the last chunk missing": TOKEN[:-SEALED_CHUNK],
        "the first chunk missing": TOKEN[:PREFIX] + b"".join(chunks()[1:]),
        "the middle chunk missing": TOKEN[:PREFIX] + chunks()[0] + chunks()[2],
        "two chunks exchanged": TOKEN[:PREFIX] + chunks()[1] + chunks()[0] + chunks()[2],
        "a chunk twice": TOKEN[:PREFIX] + chunks()[0] + chunks()[0] + chunks()[1] + chunks()[2],
        "the last chunk twice": TOKEN + chunks()[2],
        "something behind the end": TOKEN + b"x",
        "a chunk of another stream": TOKEN[:PREFIX] + sealed(THREE)[PREFIX : PREFIX + SEALED_CHUNK] + TOKEN[65559:],
        "nothing": b"",
        "the prefix alone": TOKEN[:PREFIX],
    }.items(),
    ids=lambda item: item[0],
)
def test_a_stream_that_was_tampered_with_does_not_open(altered: tuple[str, bytes]) -> None:
    with pytest.raises(CannotOpen):
        opens(altered[1])


def test_every_cut_at_a_chunk_is_noticed_before_its_end_is_believed() -> None:
    stream = opened(io.BytesIO(TOKEN[: PREFIX + 2 * SEALED_CHUNK]).read, key=KEY, context="c")
    assert next(stream) == THREE[:CHUNK_BYTES]
    with pytest.raises(SealBroken, match="chunk 2"):
        next(stream)


def test_another_key_or_context_does_not_open_it() -> None:
    for wrong in ({"key": b"\x08" * 32}, {"context": "d"}):
        with pytest.raises(SealBroken):
            opens(TOKEN, **wrong)  # type: ignore[arg-type]


def test_without_its_close_a_stream_does_not_open() -> None:
    sink = io.BytesIO()
    StreamSealer(sink, key=KEY, context="c").write(THREE)
    with pytest.raises(CannotOpen):
        opens(sink.getvalue())


def test_it_holds_a_chunk_and_no_more() -> None:
    sink = io.BytesIO()
    sealer = StreamSealer(sink, key=KEY, context="c")
    for _ in range(100):
        sealer.write(b"x" * 10_000)
        assert len(sealer._waiting) <= CHUNK_BYTES


def test_a_wrapped_key_opens_with_its_version_and_is_moved_to_the_newest() -> None:
    key, wrapped = sealing.new_key(keyring=KEYRING)
    assert sealing.unwrap_key(wrapped, keyring=KEYRING) == key
    assert (len(wrapped), sealing.key_version(wrapped)) == (sealing.WRAPPED_KEY_BYTES, 1)
    rotated = KEYRING.rotated()
    moved = sealing.rewrap(wrapped, keyring=rotated)
    newest = Keyring({2: rotated.key(2)})
    assert sealing.unwrap_key(moved, keyring=newest) == key
    with pytest.raises(UnknownKeyVersion):
        sealing.unwrap_key(wrapped, keyring=newest)


def test_a_wrapped_key_is_not_taken_for_a_sealed_value_nor_the_other_way_round() -> None:
    _, wrapped = sealing.new_key(keyring=KEYRING)
    value = sealing.seal(b"x", context="c", keyring=KEYRING)
    with pytest.raises(NotSealed):
        sealing.open_sealed(wrapped, context="c", keyring=KEYRING)
    with pytest.raises(NotSealed):
        sealing.unwrap_key(value, keyring=KEYRING)
    as_key = b"KS\x02" + value[3 : sealing.WRAPPED_KEY_BYTES]
    with pytest.raises(SealBroken):
        sealing.unwrap_key(as_key, keyring=KEYRING)
    for cut in (wrapped[:-1], wrapped + b"x"):
        with pytest.raises(NotSealed):
            sealing.unwrap_key(cut, keyring=KEYRING)
