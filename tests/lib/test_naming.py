"""By what a person is found in contents, and by what nobody is."""

from uuid import UUID

from kaireon.lib import naming
from kaireon.lib.naming import Names

REF = UUID("01900000-0000-7000-8000-000000000001")
JANE = naming.of(
    addresses=["jane.doe@example.com", "jörg@müller.example"],
    numbers=["C-17", "4711"],
    phones=["+44 20 7946 0000"],
    marks=["device-4711-x"],
    refs=[REF],
)

SAYS = (
    "jane.doe@example.com",
    "Dear <Jane.Doe@Example.com>, it is done.",
    "mailto:jane.doe@example.com?subject=x",
    "Write to jane.doe@example.com.",
    "https://shop.example/unsubscribe?who=jane.doe%40example.com&x=1",
    "JÖRG@MÜLLER.EXAMPLE",
    "jörg@xn--mller-kva.example",
    "C-17",
    "c-17",
    "/customers/C-17/orders",
    "'C-17'",
    "+442079460000",
    "+44 (20) 7946-0000",
    "device-4711-x",
    f"customer {REF}",
    {"customerId": 4711},
    {"rows": [{"deep": [{"Customer_ID": "4711"}]}]},
    {"jane.doe@example.com": 1},
    [["x", ["C-17"]]],
)
SAYS_NOT = (
    "john.doe@example.com",
    "xjane.doe@example.com",
    "x.jane.doe@example.com",
    "jane.doe@example.com.au",
    "C-170",
    "C-17-b",
    "AC-17",
    "C-17.5",
    "4711",
    4711,
    {"count": 4711, "order": "4711"},
    {"customerId": 47110},
    {"customerId": True},
    "+44 20 7946 00001",
    "device-4711-xy",
    "Jane Doe",
    "",
    None,
    {},
    [],
    1e300,
)


def test_it_finds_a_person_however_they_are_spelled_and_nobody_else():
    assert [value for value in SAYS if not JANE.said_in(value)] == []
    assert [value for value in SAYS_NOT if JANE.said_in(value)] == []


def test_names_go_into_text_and_come_back():
    assert Names.read(JANE.text()) == JANE
    both = JANE | naming.of(numbers=["D-18"])
    assert both.said_in("D-18")
    assert both.said_in("C-17")


def test_nobody_is_found_by_no_name():
    nobody = naming.of(addresses=["", " "], phones=["123"], numbers=[""])
    assert not Names()
    assert [value for value in (*SAYS, *SAYS_NOT) if Names().said_in(value) or nobody.said_in(value)] == []


def test_whatever_a_number_is_made_of_it_is_taken_as_it_is():
    for number in ("a/b.c*[1]", "quote\"1'", "x" * 9_999 + "1", "日本-7", "(1|2)x"):
        names = naming.of(numbers=[number])
        assert names.said_in({"note": f"about {number}, again"}), number
        assert not names.said_in({"note": f"about {number}9"}), number
