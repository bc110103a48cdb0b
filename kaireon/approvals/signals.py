"""What the audit log hears of approvals: each is sent in the transaction of the change that follows."""

from django.dispatch import Signal

# action (`approval.request`, …), entity: the row whose next change bears that name
changing = Signal()
