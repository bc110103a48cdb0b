import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from uuid import UUID

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from kaireon.lib.canonical import (
    MAX_DEPTH,
    SAFE_INTEGER,
    LoneSurrogate,
    NestedTooDeeply,
    NotCanonical,
    NotJson,
    canonical,
    exact,
    loads_exact,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SAFE_SCALARS = st.none() | st.booleans() | TEXT | st.integers(-SAFE_INTEGER, SAFE_INTEGER)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


def nested(scalars):
    return st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)


ANYTHING = nested(
    SAFE_SCALARS
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.datetimes()
    | st.binary()
    | st.uuids()
    | st.text(st.characters())
)


@given(nested(SAFE_SCALARS))
def test_the_fast_path_writes_what_the_library_writes(value):
    assert canonical(value) == rfc8785.dumps(value)


def test_every_character_is_written_as_the_library_writes_it():
    value = [chr(point) for point in range(0x11_0000) if not 0xD800 <= point <= 0xDFFF]
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("levels", [200, 253, 254, 255, 300])
def test_depth_makes_no_difference(levels):
    value = "x"
    for _ in range(levels):
        value = {"b": [value], "a": 1}
    assert canonical(value) == rfc8785.dumps(value)


@given(nested(SAFE_SCALARS | FLOATS))
def test_floats_are_left_to_the_library(value):
    assert canonical(value) == rfc8785.dumps(value)


@given(nested(SAFE_SCALARS | FLOATS))
def test_a_canonical_text_read_again_is_canonical(value):
    assert canonical(json.loads(canonical(value), parse_int=float)) == canonical(value)


def test_it_sorts_keys_as_rfc_8785_section_3_2_3_shows():
    value = {"€": 1, "\r": 2, "\ufb33": 3, "1": 4, "😀": 5, "\x80": 6, "ö": 7}

    assert list(json.loads(canonical(value))) == ["\r", "1", "\x80", "ö", "€", "😀", "\ufb33"]


def test_it_writes_the_sample_of_rfc_8785_section_3_2_2():
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"\u002f",
        "literals": [None, True, False],
    }

    assert canonical(value).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_a_tuple_is_a_list():
    assert canonical({"a": (1, (2,))}) == b'{"a":[1,[2]]}'


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), SAFE_INTEGER + 1, -SAFE_INTEGER - 1, {1: "a"}, {"a": Decimal(1)}, {"a": {1, 2}}],
)
def test_it_refuses_what_has_no_canonical_form(value):
    with pytest.raises(NotCanonical):
        canonical(value)


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, {"a": ["x\udc00", 0.5]}, {"\ud800": 0.5}])
def test_it_refuses_lone_surrogates(value):
    with pytest.raises(LoneSurrogate):
        canonical(value)


def test_it_refuses_what_contains_itself():
    value: list[object] = []
    value.append(value)

    with pytest.raises(NestedTooDeeply):
        canonical(value)


def test_errors_do_not_carry_the_value():
    for value in ({"secret": SAFE_INTEGER + 4711}, {"secret\ud800": 4711}, {"secret": {4711}}):
        with pytest.raises(NotCanonical) as e:
            canonical(value)
        assert "secret" not in str(e.value)
        assert "4711" not in str(e.value)


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**53 - 1, 2**53 - 1),
        (2**53, "9007199254740992"),
        (-(2**53), "-9007199254740992"),
        (0.1, 0.1),
        (1e21, "1000000000000000000000"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (Decimal("12.50"), "12.50"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E+1000000"), "1E+1000000"),
        (Decimal("NaN"), "NaN"),
        (datetime(2026, 1, 15, 9, tzinfo=timezone(timedelta(hours=2))), "2026-01-15T07:00:00.000000Z"),
        (datetime(2026, 1, 15, 9), "2026-01-15T09:00:00"),  # noqa: DTZ001 - the point of the case
        (date(2026, 1, 15), "2026-01-15"),
        (timedelta(days=1, microseconds=1), "86400.000001"),
        (UUID("01890000-0000-7000-8000-000000000000"), "01890000-0000-7000-8000-000000000000"),
        (b"\x00\xff", "AP8="),
        (memoryview(b"\x00\xff"), "AP8="),
        (Colour.RED, "red"),
        ({"b", "a"}, ["a", "b"]),
        (("a", ("b",)), ["a", ["b"]]),
        ("a\x00b\ud800", "a\ufffdb\ufffd"),
        ({1: "a", None: "b", False: "c"}, {"1": "a", "null": "b", "false": "c"}),
    ],
)
def test_exact_gives_each_type_its_form(value, expected):
    assert exact(value) == expected


def test_exact_keeps_keys_apart_that_cleaning_makes_equal():
    keys = ("a\x00", "a\ufffd", "a\ud800")

    assert exact(dict(zip(keys, (1, 2, 3), strict=True))) == {
        "a\ufffd": 1,
        "a\ufffd\ufffd": 2,
        "a\ufffd\ufffd\ufffd": 3,
    }


def test_exact_prints_numbers_that_python_will_not():
    assert exact(10**5000) == f"{10**5000:#x}"


@given(ANYTHING)
def test_whatever_exact_gives_is_canonical_and_stays(value):
    once = exact(value)

    assert canonical(exact(once)) == canonical(once)
    assert canonical(loads_exact(canonical(once).decode())) == canonical(once)


def test_exact_refuses_unknown_types_by_name():
    with pytest.raises(NotCanonical, match="object has no exact form"):
        exact({"a": object()})
    with pytest.raises(NotCanonical, match="tuple cannot be a key"):
        exact({(1, 2): 3})


def test_exact_counts_levels():
    def deep(levels):
        value: object = "x"
        for _ in range(levels):
            value = [value]
        return value

    assert exact(deep(MAX_DEPTH)) == deep(MAX_DEPTH)
    with pytest.raises(NestedTooDeeply):
        exact(deep(MAX_DEPTH + 1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9007199254740991", 9007199254740991),
        ("9007199254740993", "9007199254740993"),
        ("-9007199254740992", "-9007199254740992"),
        ("1000000000000000000000", "1000000000000000000000"),
        ("1e21", "1e21"),
        ("1e400", "1e400"),
        ("1e-400", "1e-400"),
        ("1e-99999999999999999999", "1e-99999999999999999999"),
        ("0e-99999999999999999999", 0.0),
        ("0.1", 0.1),
        ("1.10", 1.1),
        ("0.10000000000000000555", "0.10000000000000000555"),
        ('{"a": [1, "\\u0000\\ud800"]}', {"a": [1, "\ufffd\ufffd"]}),
        ('"\\ud83d\\ude00"', "😀"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_reading_keeps_every_number(text, expected):
    read = loads_exact(text)

    assert read == expected
    assert type(read) is type(expected)
    canonical(read)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_number_is_either_text_or_the_same_number(number):
    read = loads_exact(f"{number:f}" if abs(number.adjusted()) < 400 else str(number))

    assert isinstance(read, int | float | str)
    assert (Decimal(read) if isinstance(read, int | str) else Decimal(repr(read))) == number


def test_what_is_nested_too_deeply_comes_back_as_text():
    fits = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    deep = "[" * 5000 + "]" * 5000

    assert isinstance(loads_exact(fits), list)
    assert loads_exact(deep) == deep
    # Brackets inside text are no levels.
    assert loads_exact(json.dumps(["[" * 500, '"[' * 500])) == ["[" * 500, '"[' * 500]


@pytest.mark.parametrize("text", ["", "{", "NaN", "[1,]", "secret", "-Infinity", '["' + "[{" * 500])
def test_it_says_where_text_is_not_json_and_not_what_it_is(text):
    with pytest.raises(NotJson) as e:
        loads_exact(text)
    assert "secret" not in str(e.value)


def test_a_moment_is_spelled_once():
    assert exact(datetime(2026, 1, 15, tzinfo=UTC)) == "2026-01-15T00:00:00.000000Z"
