"""How long the audit log is kept, for those below who cannot ask: the policy and the hold of the class `audit`."""

from audit.pruning import prune
from audit.pruning.prune import Retention
from compliance.holding import holds, predicate
from compliance.retention.in_force import in_force
from kaireon.lib import clock
from kaireon.tenancy.context import requires_transaction


@prune.retention_from
@requires_transaction
def log_retention() -> Retention:
    """Of the active tenant."""
    counts = in_force(prune.DATA_CLASS, clock.now())
    held = prune.DATA_CLASS in holds.held_classes() or predicate.touched(prune.DATA_CLASS)
    return Retention(days=counts.days if counts else None, held=held)
