"""Two events have one mark when they say the same, however it is spelled."""

import pytest

from audit.shipping import marks
from audit.shipping.marks import Ambiguous, mark, parse


def test_how_it_is_spelled_does_not_matter() -> None:
    one = parse('{"seq":5,"changes":{"n":1e21,"m":-0.50,"z":0},"userName":"","before":null,"action":"\\u00e4"}')
    other = parse('{ "action":"ä", "changes":{"z":-0.0,"m":-5E-1,"n":1000000000000000000000}, "seq":5.0,"host":1}')

    assert mark(one) == mark(other)


@pytest.mark.parametrize(
    "said",
    [
        '{"seq":5,"changes":{"n":12345678901234567890.1}}',
        '{"seq":5,"changes":{"n":"12345678901234567890"}}',
        '{"seq":5,"changes":{"n":12345678901234567891}}',
        '{"seq":5,"changes":{"n":12345678901234567890,"m":null}}',
        '{"seq":true,"changes":{"n":12345678901234567890}}',
        '{"seq":5}',
    ],
)
def test_what_it_says_does(said: str) -> None:
    assert mark(parse(said)) != mark(parse('{"seq":5,"changes":{"n":12345678901234567890}}'))


@pytest.mark.parametrize("text", ['{"action":"a","action":"b"}', "[]", "null", '{"seq":NaN}', '{"a":1} {}', ""])
def test_what_is_not_one_object_has_none(text: str) -> None:
    with pytest.raises(Ambiguous):
        parse(text)


def test_numbers_of_any_length_are_exact() -> None:
    long = "1" * 9_000
    assert mark(parse(f'{{"changes":{long}0}}')) == mark(parse(f'{{"changes":{long}e1}}'))
    assert mark(parse(f'{{"changes":{long}0}}')) != mark(parse(f'{{"changes":{long}1}}'))


def test_what_is_too_deep_to_be_compared_does_not_stop_it() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]

    assert mark({"leafHash": "a", "changes": deep}) != mark({"leafHash": "b", "changes": deep})
    assert marks.mark({"leafHash": "a", "changes": deep}) == mark({"leafHash": "a"})
