"""What COPY TO sends, many rows at a time: to wait for each one costs more than PostgreSQL needs to make it."""

import select
from collections.abc import Iterator

from psycopg import Copy, errors
from psycopg.abc import Buffer
from psycopg.pq import ExecStatus

# Of the binary format: what stands before the first row, and what before the one value of each.
_HEAD_BYTES = 19
_BEFORE_BYTES = 6
_END_BYTES = 2


def batches(copy: Copy, *, size: int) -> Iterator[list[Buffer]]:
    """The rows of a COPY that nobody has read from yet, in lists of `size` bytes or a little more, the last one less.

    Raises psycopg's own errors, as reading them one by one does.
    """
    wire = copy.connection.pgconn
    arrival = select.poll()
    arrival.register(wire.socket, select.POLLIN)
    rows: list[Buffer] = []
    waiting = 0
    while True:
        length, row = wire.get_copy_data(1)
        if length > 0:
            rows.append(row)
            waiting += length
            if waiting >= size:
                yield rows
                rows, waiting = [], 0
        elif length == 0:
            arrival.poll()
            wire.consume_input()
        else:
            break
    # The copy is over; whether it went well is said now, and heard to the end: the connection is free only then.
    for result in list(iter(wire.get_result, None)):
        if result.status != ExecStatus.COMMAND_OK:
            raise errors.error_from_result(result)
    if rows:
        yield rows


def texts(copy: Copy, *, size: int) -> Iterator[bytes]:
    """As `batches`, of a binary COPY of one column of text: the texts one after the other, NULL as nothing."""
    for rows in binary(copy, size=size):
        yield b"".join([row[_BEFORE_BYTES:] for row in rows])


def binary(copy: Copy, *, size: int) -> Iterator[list[Buffer]]:
    """As `batches`, of a binary COPY: its rows alone, without what stands before the first and behind the last one."""
    before = _HEAD_BYTES
    for rows in batches(copy, size=size):
        rows[0] = rows[0][before:]
        before = 0
        if len(rows[-1]) == _END_BYTES:
            rows.pop()
        yield rows
