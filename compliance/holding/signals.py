"""What those above hear of holds: sent in the transaction of the change."""

from django.dispatch import Signal

# at: the moment from which less is held; None: as soon as this transaction commits
released = Signal()
