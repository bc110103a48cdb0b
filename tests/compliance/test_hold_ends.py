"""How a hold of a matter ends: by two people and its time alone, whichever role asks the database."""

import pytest

from tests.compliance.rows import connect, customer, end, hold, refused

# A release that was agreed to, by the database's own columns.
BEGUN = (
    "state = 'releasing', release_asked_by = 'one', release_agreed_by = 'another',"
    " releases_at = now() + interval '1 day'"
)


@pytest.mark.parametrize(
    "statements",
    [
        ["state = 'released', released_at = now()"],
        ["state = 'releasing', releases_at = now()"],
        [BEGUN.replace("'another'", "'one'")],
        [BEGUN.replace("'another'", "''")],
        [BEGUN, "state = 'released', released_at = now()"],
        [BEGUN, "state = 'released', released_at = now(), releases_at = now() - interval '1 day'"],
        [BEGUN, "releases_at = now()"],
        ["release_asked_by = 'one'"],
    ],
    ids=str,
)
def test_no_role_ends_a_hold_alone_or_before_its_time(role_url, statements):
    hold(customer())
    with connect(role_url) as connection:
        for begun in statements[:-1]:
            connection.execute(f"UPDATE compliance_hold SET {begun}")
        refused(connection, f"UPDATE compliance_hold SET {statements[-1]}")


def test_it_ends_when_two_agreed_and_its_time_came(role_url):
    hold(customer())
    with connect(role_url) as connection:
        for step in (BEGUN, "state = 'active'", BEGUN, "state = 'released', released_at = now() + interval '1 day'"):
            assert connection.execute(f"UPDATE compliance_hold SET {step}").rowcount == 1


def test_a_released_hold_does_not_come_back(owner_url):
    placed = hold(customer())
    end(placed)
    with connect(owner_url) as connection:
        refused(connection, "UPDATE compliance_hold SET state = 'active', released_at = NULL")
