import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaireon.lib.csv_safe import SafeWriter, neutral, neutral_row


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1+1",
        "＋1",
        "－1",
        "＠SUM(A1)",
        " =1",
        "\ufeff=1",
        "\u200b\u00a0@x",
        "\x00=1",
        "=cmd|'/C calc'!A0",
    ],
)
def test_it_neutralises_what_starts_a_formula(cell):
    assert neutral(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["", "Ada", "1-1", "a=b", " x", "'=1", -5, -0.5, Decimal("-1"), None, True])
def test_it_leaves_the_rest(cell):
    assert neutral(cell) is cell


def test_a_row_keeps_its_order():
    assert neutral_row(["=a", 1, "b"]) == ["'=a", 1, "b"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_written_text_cannot_start_another_cell(cells):
    stream = io.StringIO(newline="")
    SafeWriter(stream).writerows([cells, ["end"]])

    assert list(csv.reader(io.StringIO(stream.getvalue(), newline=""))) == [neutral_row(cells), ["end"]]


def test_numbers_stay_numbers():
    stream = io.StringIO()
    SafeWriter(stream).writerow(["=x", -5, None, '"; =y'])

    assert stream.getvalue() == '"\'=x",-5,"","""; =y"\r\n'
