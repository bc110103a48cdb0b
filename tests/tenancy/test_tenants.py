"""Making tenants."""

import psycopg
import pytest
from django.core.exceptions import ValidationError

from kaireon.tenancy import tenants
from tests.cast import SETUP


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_zone": "../etc/passwd"}, "time_zone"),
        ({"time_zone": ""}, "time_zone"),
        ({"tenant_id": "Not A Slug"}, "id"),
        ({"name": ""}, "name"),
    ],
)
def test_what_no_clock_could_count_with_makes_no_tenant(superuser_url: str, given: dict[str, str], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        tenants.create_tenant(**{"tenant_id": "mars", "name": "Mars", "actor": SETUP, **given})  # type: ignore[arg-type]
    assert set(refused.value.message_dict) == {field}
    with psycopg.connect(superuser_url) as root:
        assert root.execute("SELECT id FROM tenancy_tenant WHERE name IN ('Mars', '')").fetchall() == []
