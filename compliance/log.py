"""How long the audit log is kept, for those below who cannot ask: the policy and the hold of the class `audit`."""

from audit.pruning import prune
from audit.pruning.prune import Retention
from compliance.models import RetentionPolicy
from kaireon.tenancy.context import requires_transaction


@prune.retention_from
@requires_transaction
def log_retention() -> Retention:
    """Of the active tenant."""
    policy = RetentionPolicy.objects.filter(data_class=prune.DATA_CLASS).first()
    return Retention(days=policy.retention_days if policy else None, held=policy is not None and policy.legal_hold)
