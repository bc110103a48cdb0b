"""What a pipeline's steps can be. Loading and writing nodes are registered from above; those in between stand here."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from kaireon.flows.batches import Numbered, Reject
from kaireon.lib.masking import ALGORITHMS, MASKS, KeyedHash, hash_value, mask
from kaireon.tenancy import context
from kaireon.tenancy.keyring import keyring

Row = dict[str, Any]
Params = Mapping[str, Any]
# Gives the row changed, or None to leave it out. Raises RowRefused.
Transform = Callable[[Row], Row | None]


class Kind(StrEnum):
    LOAD = "load"
    PURE = "pure"
    WRITE = "write"
    WRITE_FILE = "write_file"


class ParamInvalid(ValueError):
    """A parameter of a node is missing or wrong. `field` names it, the message says what it takes."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class UnknownNode(LookupError):
    """No node has this name."""


class RowRefused(ValueError):
    """This row goes to the rejects; the message is the reason and repeats no value."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A batch that was read: its rows, what could not be read, where to go on, and how much is read (0 to 1)."""

    rows: list[Numbered]
    rejects: list[Reject]
    position: Any
    share: float


@dataclass(frozen=True, kw_only=True)
class Node:
    """One kind of step. `check` raises ParamInvalid; exactly one of the others is set, as `kind` says.

    `load(params, position)` gives batches from a position on. `transform(params)` makes the function for one row.
    `write(params, rows)` stores a batch in the open transaction and gives what it refused. `write_file(params, run id,
    batches)` yields "" after each batch and the file's name at its end. `in_transaction`
    says of a loading node that it reads the database. Raise `version` when the same parameters come to something else.
    """

    name: str
    kind: Kind
    help: str
    version: str = "1"
    check: Callable[[Params], None]
    load: Callable[[Params, Any], Iterator[Loaded]] | None = None
    transform: Callable[[Params], Transform] | None = None
    write: Callable[[Params, Sequence[Numbered]], list[Reject]] | None = None
    write_file: Callable[[Params, str, Iterable[list[Numbered]]], Iterator[str]] | None = None
    in_transaction: bool = False


_nodes: dict[str, Node] = {}


class NodeTaken(ValueError):
    """Two nodes were registered under one name."""


def register(node: Node) -> Node:
    """Raises NodeTaken."""
    if node.name in _nodes:
        raise NodeTaken(node.name)
    _nodes[node.name] = node
    return node


def get(name: str) -> Node:
    """Raises UnknownNode."""
    try:
        return _nodes[name]
    except KeyError as e:
        raise UnknownNode(f"must be one of {', '.join(sorted(_nodes))}.") from e


def all_nodes() -> tuple[Node, ...]:
    return tuple(_nodes.values())


# --- Checking parameters ----------------------------------------------------------------------------------------------


def only(params: Params, *known: str, required: Sequence[str] = ()) -> None:
    """Raises ParamInvalid for a parameter nobody knows or one that is missing."""
    for name in params:
        if name not in known:
            raise ParamInvalid(str(name)[:64], f"unknown parameter; known are {', '.join(known) or 'none'}.")
    for name in required:
        if name not in params:
            raise ParamInvalid(name, "is required.")


def text(params: Params, name: str, *, choices: Iterable[str] | None = None) -> str:
    value = params.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= 200:
        raise ParamInvalid(name, "must be text of 1 to 200 characters.")
    if choices is not None and value not in choices:
        raise ParamInvalid(name, f"must be one of {', '.join(choices)}.")
    return value


def columns(params: Params, name: str = "columns") -> list[str]:
    value = params.get(name)
    if not isinstance(value, list) or not value or not all(isinstance(c, str) and c for c in value):
        raise ParamInvalid(name, "must be a list of column names.")
    return value


def table(params: Params, name: str) -> dict[str, Any]:
    value = params.get(name)
    if not isinstance(value, dict) or not value:
        raise ParamInvalid(name, "must be an object with at least one entry.")
    return value


# --- Pure nodes -------------------------------------------------------------------------------------------------------


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _is_greater(left: Any, right: Any) -> bool:
    """Numbers as numbers, where both are; otherwise text by its characters."""
    a, b = _number(left), _number(right)
    return a > b if a is not None and b is not None else str(left) > str(right)


# What each comparison says of a row's value and the filter's. A missing value fits `empty` and `ne` only.
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, wanted: value == wanted,
    "ne": lambda value, wanted: value != wanted,
    "in": lambda value, wanted: value in wanted,
    "gt": lambda value, wanted: value is not None and _is_greater(value, wanted),
    "lt": lambda value, wanted: value is not None and _is_greater(wanted, value),
    "contains": lambda value, wanted: isinstance(value, str) and str(wanted) in value,
    "empty": lambda value, wanted: (value in (None, "")) is (wanted is not False),
}


def _check_filter(params: Params) -> None:
    only(params, "column", "op", "value", required=("column", "op"))
    text(params, "column")
    op = text(params, "op", choices=COMPARISONS)
    if op != "empty" and "value" not in params:
        raise ParamInvalid("value", "is required.")
    if op == "in" and not isinstance(params["value"], list):
        raise ParamInvalid("value", "must be a list for 'in'.")


def _filter(params: Params) -> Transform:
    column, compare, wanted = params["column"], COMPARISONS[params["op"]], params.get("value")
    return lambda row: row if compare(row.get(column), wanted) else None


def _check_rename(params: Params) -> None:
    only(params, "columns", required=("columns",))
    names = table(params, "columns")
    if not all(isinstance(new, str) and new for new in names.values()):
        raise ParamInvalid("columns", "must give each column a new name.")
    if len(set(names.values())) != len(names):
        raise ParamInvalid("columns", "gives two columns one name.")


def _rename(params: Params) -> Transform:
    names: dict[str, str] = params["columns"]

    def rename(row: Row) -> Row:
        renamed = {names.get(column, column): value for column, value in row.items()}
        if len(renamed) != len(row):
            raise RowRefused("", "has a column of the new name already.")
        return renamed

    return rename


def _whole(value: Any) -> int:
    found = _number(value)
    if found is None or found != found.to_integral_value() or abs(found) >= 10**18:
        raise ValueError
    return int(found)


def _real(value: Any) -> float:
    found = _number(value)
    if found is None:
        raise ValueError
    return float(found)


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[str(value).strip().lower()]


CASTS: dict[str, Callable[[Any], Any]] = {
    "text": lambda value: value if isinstance(value, str) else str(value),
    "integer": _whole,
    "number": _real,
    "boolean": _truth,
    "date": lambda value: date.fromisoformat(str(value).strip()).isoformat(),
    "datetime": lambda value: datetime.fromisoformat(str(value).strip()).isoformat(),
}


def _check_cast(params: Params) -> None:
    only(params, "columns", required=("columns",))
    if any(kind not in CASTS for kind in table(params, "columns").values()):
        raise ParamInvalid("columns", f"must give each column one of {', '.join(CASTS)}.")


def _cast(params: Params) -> Transform:
    casts: dict[str, str] = params["columns"]

    def cast(row: Row) -> Row:
        changed = dict(row)
        for column, kind in casts.items():
            if (value := row.get(column)) is not None and value != "":
                try:
                    changed[column] = CASTS[kind](value)
                except (ValueError, KeyError, OverflowError):
                    raise RowRefused(column, f"is no {kind}.") from None
        return changed

    return cast


def _check_map(params: Params) -> None:
    only(params, "column", "values", "otherwise", required=("column", "values"))
    text(params, "column")
    table(params, "values")
    if params.get("otherwise", "keep") not in ("keep", "reject", "empty"):
        raise ParamInvalid("otherwise", "must be one of keep, reject, empty.")


def _map_values(params: Params) -> Transform:
    column, values, otherwise = params["column"], params["values"], params.get("otherwise", "keep")

    def change(row: Row) -> Row:
        value = row.get(column)
        key = value if isinstance(value, str) else str(value)
        if value is None or (key not in values and otherwise == "keep"):
            return row
        if key not in values and otherwise == "reject":
            raise RowRefused(column, "is no value of the map.")
        return {**row, column: values.get(key)}

    return change


KEYED = "hmac-sha256"


def _check_hash(params: Params) -> None:
    only(params, "columns", "algorithm", "purpose", required=("columns",))
    columns(params)
    algorithm = text({"algorithm": KEYED, **params}, "algorithm", choices=(KEYED, *ALGORITHMS))
    if algorithm == KEYED:
        text(params, "purpose")


def _hash(params: Params) -> Transform:
    """Keyed by tenant and purpose unless told otherwise: a plain hash of a phone number can be guessed."""
    algorithm = params.get("algorithm", KEYED)
    if algorithm == KEYED:
        hashed: Callable[[str], str] = KeyedHash(
            keyring=keyring(), tenant_id=context.tenant_id(), purpose=params["purpose"]
        )
    else:
        hashed = lambda value: hash_value(value, algorithm)  # noqa: E731
    return _on_each(params["columns"], hashed)


def _check_mask(params: Params) -> None:
    only(params, "columns", "format", required=("columns",))
    columns(params)
    if "format" in params:
        text(params, "format", choices=[known.name for known in MASKS])


def _mask(params: Params) -> Transform:
    known = params.get("format")
    return _on_each(params["columns"], lambda value: mask(value, as_format=known))


def _on_each(names: Sequence[str], change: Callable[[str], str]) -> Transform:
    def changed(row: Row) -> Row:
        done = dict(row)
        for name in names:
            value = row.get(name)
            if isinstance(value, dict | list):
                raise RowRefused(name, "is no single value.")
            if value is not None and value != "":
                done[name] = change(value if isinstance(value, str) else str(value))
        return done

    return changed


for _node in (
    Node(
        name="filter",
        kind=Kind.PURE,
        help="Keep rows whose column compares to a value.",
        check=_check_filter,
        transform=_filter,
    ),
    Node(name="rename", kind=Kind.PURE, help="Give columns new names.", check=_check_rename, transform=_rename),
    Node(
        name="cast",
        kind=Kind.PURE,
        help=f"Make columns {', '.join(CASTS)}; what cannot be is refused.",
        check=_check_cast,
        transform=_cast,
    ),
    Node(
        name="map_values",
        kind=Kind.PURE,
        help="Replace a column's values by a table.",
        check=_check_map,
        transform=_map_values,
    ),
    Node(
        name="hash",
        kind=Kind.PURE,
        help="Replace values by their hash, keyed by tenant and purpose.",
        check=_check_hash,
        transform=_hash,
    ),
    Node(name="mask", kind=Kind.PURE, help="Hide values by their detected format.", check=_check_mask, transform=_mask),
):
    register(_node)


_PATH = re.compile(r"[A-Za-z0-9_{][A-Za-z0-9._{}-]*(/[A-Za-z0-9_{][A-Za-z0-9._{}-]*){0,7}")


def file_path(params: Params, name: str = "file") -> str:
    """A path under the tenant's folder. Raises ParamInvalid for one that could lead elsewhere."""
    path = text(params, name)
    inside = path.replace("{run}", "r")
    if not _PATH.fullmatch(path) or "{" in inside or "}" in inside:
        raise ParamInvalid(name, "must be a relative path of letters, digits, '.', '_', '-'; {run} stands for the run.")
    if path.split("/")[0] in ("work", "rejects"):
        raise ParamInvalid(name, "may not lie in 'work' or 'rejects', which belong to the runs.")
    return path
