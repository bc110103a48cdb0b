"""A record that must stay keeps all after it, whatever the clocks said when they sealed the log."""

from random import Random

import psycopg
import pytest

from audit.pruning import prune as pruning
from audit.pruning.prune import FLOOR_DAYS
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.audit.pruning.old_log import planned, policy, sealed, triggers_off
from tests.cast import ACME, ADA

pytestmark = pytest.mark.usefixtures("db")

SEALS = 6
CASES = 100


def longest(ages: dict[int, int], published: set[int], days: int) -> int:
    """How far the log may go: up to a seal that was published, over none that is too young."""
    kept_from = min((size for size, age in ages.items() if age < max(days, FLOOR_DAYS)), default=10**9)
    return max((size for size in published if size < kept_from), default=0)


def test_what_goes_is_the_longest_prefix_without_a_young_seal(superuser: psycopg.Connection) -> None:
    random = Random(5)
    published = set()
    for number in range(SEALS):
        is_published = number in (0, SEALS - 1) or number % 3
        size = sealed(3, superuser, days_ago=0, published=is_published)
        if is_published:
            published.add(size)
    sealed(1, superuser, days_ago=0, published=False)
    superuser.execute("SELECT set_config('app.tenant_id', %s, false)", [ACME])
    sizes = [
        size
        for (size,) in superuser.execute(
            "SELECT tree_size FROM audit_checkpoint WHERE tenant_id = 'acme' ORDER BY tree_size"
        )
    ]
    policy(500)
    planned()
    seen = set()
    for _ in range(CASES):
        # Mostly falling, as time goes; now and then a clock was wrong for one seal.
        ages = dict(zip(sizes, sorted((random.choice([0, 499, 501, 900]) for _ in sizes), reverse=True), strict=True))
        if random.random() < 0.6:
            ages[random.choice(sizes)] = random.choice([0, 499, 501, 900])
        with triggers_off(superuser):
            superuser.cursor().executemany(
                "UPDATE audit_checkpoint SET signed_at = now() - make_interval(days => %s)"
                " WHERE tenant_id = 'acme' AND tree_size = %s",
                [(age, size) for size, age in ages.items()],
            )
        with ADA.here(), transaction():
            plan = pruning.make_plan(now=clock.now())
        assert plan.last_seq == longest(ages, published, 500), ages
        seen.add(plan.last_seq)
    assert len(seen) > len(published) / 2
