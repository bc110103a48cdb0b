"""What happens to requests, for those who write to the subject or to recipients. Sent in the transaction of the move.

Each carries `request`, the locked row as it was saved, and `now`.
"""

from django.dispatch import Signal

# Taken on, with or without an earlier one that answers it. `at_once`: the caller waits for the answer.
accepted = Signal()
# Its time was extended; `clock` is the clock as it is now.
extended = Signal()
# Answered, completed by a person, rejected or withdrawn: `request.outcome`.
closed = Signal()
# An erasure did what it could; `request.retained` waits for the end of a hold.
deferred = Signal()
# The rows of `customers`, locked, went: `items` says what became of them, as in a plan.
erased = Signal()
# The rows of a person are about to be erased; whom they are of is known for the last time.
erasing = Signal()
