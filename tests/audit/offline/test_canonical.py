"""Canonical JSON: the exact way against RFC 8785, the quick ways against the exact one."""

import json
import struct
import unicodedata

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.offline.kaireon_verify import NotCanonical, Shapes, canonical, is_surely_canonical, number, read_json
from tests.audit.offline.bundle import UNUSUAL

# RFC 8785, appendix B: the bits of a double and how it is written.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


@pytest.mark.parametrize(("bits", "written"), NUMBERS.items())
def test_numbers_as_the_rfc_writes_them(bits, written):
    assert number(struct.unpack(">d", bytes.fromhex(bits))[0]) == written


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_as_another_library_writes_them(value):
    assert number(value).encode() == rfc8785.dumps(value)


def test_the_example_of_the_rfc():
    text = r"""{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
    }"""
    expected = (
        r'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        r'"string":"€$\u000f\nA' + "'" + r'B\"\\\\\"/"}'
    )
    assert canonical(read_json(text)).decode() == expected


def test_keys_in_the_order_of_the_rfc():
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]

    written = json.loads(canonical(dict.fromkeys(keys)))
    assert list(written) == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
SCALARS = st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | TEXT


def nested(inner):
    return st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)


VALUES = st.recursive(SCALARS, nested, max_leaves=12)


def is_canonical(text: str) -> bool:
    try:
        return canonical(read_json(text)) == text.encode()
    except NotCanonical:
        return False


@settings(deadline=None)
@given(VALUES)
def test_values_as_another_library_writes_them(value):
    assert canonical(value) == rfc8785.dumps(value)


@settings(deadline=None)
@given(st.recursive(st.none() | st.booleans() | INTEGERS | TEXT, nested, max_leaves=12))
def test_the_quick_way_knows_everything_canonical_without_doubles(value):
    text = rfc8785.dumps(value).decode()

    # Keys on both sides of the surrogates are left to the exact way.
    sides = [side for side in (range(0xE000, 0x10000), range(0x10000, 0x110000)) if any(ord(c) in side for c in text)]
    assert is_surely_canonical(text) or len(sides) == 2


@settings(deadline=None, max_examples=300)
@given(VALUES, st.data())
def test_the_quick_way_never_says_yes_to_another_spelling(value, data):
    text = rfc8785.dumps(value).decode()
    place = data.draw(st.integers(0, len(text)))
    taken = data.draw(st.integers(0, 2))
    put = data.draw(
        st.sampled_from(["", " ", "0", "1", "-", ".", "e5", ".0", "\\u0061", "\\/", '"', ",", "[", "{}", "a"])
    )
    changed = text[:place] + put + text[place + taken :]

    if is_surely_canonical(changed):
        assert is_canonical(changed)


# One value each, spelled rightly and wrongly.
SPELLINGS = [
    *(
        "0",
        "1",
        "-1",
        "9007199254740991",
        "-9007199254740991",
        "0.5",
        "-0.5",
        "1e+21",
        "1e-7",
        "0.000001",
        "12345678.123456",
    ),
    *("-0", "01", "+1", "1.0", "1.50", ".5", "5.", "1e5", "1E+21", "1e21", "1e+05", "0.0000001", "-0.0", "1e999"),
    *("9007199254740992", "-9007199254740992", "100000000000000000000", "123456789012345678901234567890"),
    *("0.30000000000000004", "0.1234567890123456789", "0.3000000000000000444", "4.35", "4.3499999999999996"),
    *("true", "false", "null", "True", "NaN", "Infinity", "-Infinity", "nul", "tru e"),
    *(
        '"a"',
        '"é"',
        '"e\u0301"',
        '"\U0001f600"',
        '"\ufb33"',
        '"/"',
        '"\x7f"',
        '"\u2028"',
        '""',
        '"\\n\\t\\"\\\\"',
        '"\\u001f"',
    ),
    *(
        '"\\u0061"',
        '"\\/"',
        '"\\u00e9"',
        '"\\u000a"',
        '"\\u001F"',
        '"\\u0000"',
        '"\\ud800"',
        '"\\ud83d\\ude00"',
        '"\x1f"',
    ),
    *(
        '"\\x"',
        '"a',
        "'a'",
        '"a"b"',
        "[]",
        "{}",
        "[1,2]",
        '{"a":1}',
        "[1, 2]",
        "[1,]",
        '{"a":1,"a":1}',
        '{"b":1,"a":1}',
    ),
    *(' "a"', '"a" ', "", "1,2", '1,"c":2', "1}", "\ufeff1"),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("around", ['{"a":1,"b":%s}', '{"b":[0,%s],"c":{"d":null}}', '{"b":[{"c":%s},"x"]}'])
def test_a_shape_seen_before_holds_canonical_text_only(spelling, around):
    shapes = Shapes()
    for usual in ("0", '"x"', "null"):
        for _ in range(Shapes.AFTER):
            assert shapes.hold("Offer", around % usual)
    assert shapes._known["Offer"]
    text = around % spelling

    assert not shapes.hold("Offer", text) or is_canonical(text)
    assert not is_surely_canonical(text) or is_canonical(text)


def test_a_shape_recognises_other_values_without_reading_them(monkeypatch):
    shapes = Shapes()
    for _ in range(Shapes.AFTER):
        shapes.hold("Offer", '{"a":"x","b":[1,2],"c":{"d":null}}')
    monkeypatch.setattr("audit.offline.kaireon_verify.is_surely_canonical", lambda _: False)

    assert shapes.hold("Offer", '{"a":"\U0001f600 \\n","b":[0.25,true,"y"],"c":{"d":-7}}')
    assert not shapes.hold("Offer", '{"a":"x","b":[1,2],"c":{"e":null}}')
    assert not shapes.hold("Customer", '{"a":"x","b":[1,2],"c":{"d":null}}')


def test_shapes_stay_few_whatever_comes():
    shapes = Shapes()
    for n in range(3 * Shapes.MOST_SEEN):
        for _ in range(Shapes.AFTER if n < Shapes.MOST + 10 else 1):
            assert shapes.hold(f"kind {n % 50}", f'{{"key {n}":1}}')

    assert len(shapes._seen) <= Shapes.MOST_SEEN
    assert sum(map(len, shapes._known.values())) <= Shapes.MOST
    assert max(map(len, shapes._known.values())) <= Shapes.MOST_OF_A_KIND


@pytest.mark.parametrize("value", UNUSUAL)
def test_unusual_values_are_canonical_the_exact_way(value):
    assert is_canonical(rfc8785.dumps(value).decode())


def test_keys_that_differ_only_in_normalisation_are_two():
    composed, decomposed = "\u00e9", unicodedata.normalize("NFD", "\u00e9")

    assert is_canonical(f'{{"{decomposed}":1,"{composed}":2}}')
    assert not is_canonical(f'{{"{composed}":2,"{decomposed}":1}}')


def test_keys_around_the_surrogates_are_in_the_order_of_utf_16():
    right, wrong = '{"\U0001f600":1,"\ufb33":2}', '{"\ufb33":2,"\U0001f600":1}'

    assert is_canonical(right)
    assert not is_surely_canonical(right), "Python orders them otherwise, so only the exact way may say so"
    assert not is_canonical(wrong)
    assert not is_surely_canonical(wrong)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("9007199254740992", r"beyond 2\^53"),
        ("9" * 5000, r"beyond 2\^53"),
        ("1e999", "too large"),
        ("NaN", "not JSON"),
        ("-Infinity", "not JSON"),
        ('{"a":1,"b":2,"a":1}', "twice"),
        (r'"\u0000"', "NUL"),
        (r'"\ud800"', "surrogate"),
        (r'{"\udc00":1}', "surrogate"),
        ("[" * 100_000, "too deeply"),
        ("[" * 5000 + "]" * 5000, "too deeply"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "too deeply"),
        ("{", "not JSON at character"),
        ("", "not JSON at character"),
        ("1 2", "not JSON at character"),
        ("\ufeff1", "not JSON at character"),
    ],
)
def test_it_says_what_is_wrong(text, reason):
    with pytest.raises(NotCanonical, match=reason):
        read_json(text)
    assert not is_surely_canonical(text)


def test_what_the_writer_may_nest_is_read():
    # 200 levels in a value, three more around it in a record.
    text = '{"a":[' * 102 + "1" + "]}" * 102

    assert is_canonical(text)
    assert is_surely_canonical(text)
