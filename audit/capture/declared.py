"""What the migrations declare of functions and triggers: read from their own SQL, so that nobody keeps a list by hand.

`read` takes SQL as migrations write it; `expected` is what all migrations of this code come to. A trigger as the
server prints it is read by the same function, so that the two can be compared.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any

from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import RunSQL, SeparateDatabaseAndState

from kaireon.tenancy.rls import OWNER

_BODY = re.compile(r"\$(\w*)\$(.*?)\$\1\$", re.DOTALL)
_COMMENT = re.compile(r"--[^\n]*")
_NAME = r'(?:public\.)?"?(\w+)"?'
_FUNCTION = re.compile(
    rf"CREATE (OR REPLACE )?FUNCTION {_NAME} ?\((.*?)\) RETURNS (.+?) AS \$body(\d+)\$(.*)", re.IGNORECASE
)
_OWNER = re.compile(rf"ALTER FUNCTION {_NAME} ?\((.*?)\) OWNER TO (\w+)", re.IGNORECASE)
_DROPPED_FUNCTION = re.compile(rf"DROP FUNCTION (?:IF EXISTS )?{_NAME} ?\((.*?)\)", re.IGNORECASE)
_TRIGGER = re.compile(
    rf'CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER "?(\w+)"? (BEFORE|AFTER|INSTEAD OF) (.+?) ON {_NAME}'
    r"((?: NOT)? DEFERRABLE(?: INITIALLY \w+)?)?(?: REFERENCING (.+?))? FOR (?:EACH )?(ROW|STATEMENT)"
    r"(?: WHEN (\(.*\)))? EXECUTE (?:FUNCTION|PROCEDURE) (\S+?)\((.*)\)",
    re.IGNORECASE,
)
_DROPPED_TRIGGER = re.compile(rf'DROP TRIGGER (?:IF EXISTS )?"?(\w+)"? ON {_NAME}', re.IGNORECASE)
_ALWAYS = re.compile(rf'ALTER TABLE {_NAME} ENABLE ALWAYS TRIGGER "?(\w+)"?', re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function as it must be. `source` is the SHA-256 of its body."""

    source: str
    owner: str = OWNER
    definer: bool = False
    search_path: str = ""


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """A trigger as it must be, without its name and table. Partitions have those of their parent."""

    when: str
    events: frozenset[str]
    each: str
    function: str
    arguments: tuple[str, ...] = ()
    tables: frozenset[str] = frozenset()
    condition: str = ""
    # Fires in replica sessions too.
    always: bool = False


@dataclass
class Declared:
    """Functions by name and number of arguments, triggers by table and by name."""

    functions: dict[tuple[str, int], Function] = field(default_factory=dict)
    triggers: dict[str, dict[str, Trigger]] = field(default_factory=dict)


@lru_cache(maxsize=1)
def expected() -> Declared:
    """What all migrations of this code declare together, in their order."""
    declared = Declared()
    for sql in _migrations_sql():
        read(sql, declared)
    return declared


@lru_cache(maxsize=1)
def known_migrations() -> frozenset[tuple[str, str]]:
    """With those that were merged into another: a database keeps their names."""
    loader = _loader()
    merged = (old for migration in loader.replacements.values() for old in migration.replaces)
    return frozenset(loader.graph.nodes) | frozenset(merged)


def read(sql: str, declared: Declared) -> None:
    """Add what a piece of SQL creates, changes or drops."""
    bodies: list[str] = []

    def kept(match: "re.Match[str]") -> str:
        bodies.append(match[2])
        return f"$body{len(bodies) - 1}$"

    text = _COMMENT.sub("", _BODY.sub(kept, sql))
    for statement in text.split(";"):
        _read_statement(" ".join(statement.split()), bodies, declared)


def read_trigger(statement: str) -> tuple[str, str, Trigger]:
    """Table, name and trigger of one CREATE TRIGGER. Raises ValueError for anything else."""
    found = _TRIGGER.fullmatch(" ".join(statement.split()))
    if not found:
        raise ValueError("This is no CREATE TRIGGER.")
    name, when, events, table, _, referencing, each, condition, function, arguments = found.groups()
    function = function.replace('"', "")
    return (
        table,
        name,
        Trigger(
            when=when.upper(),
            events=frozenset(_event(event) for event in re.split(r" OR ", events, flags=re.IGNORECASE)),
            each=each.upper(),
            function=function if "." in function else f"public.{function}",
            arguments=tuple(re.findall(r"'((?:[^']|'')*)'", arguments)),
            tables=frozenset(re.findall(r"(?:OLD|NEW) TABLE (?:AS )?\w+", referencing or "", re.IGNORECASE)),
            condition=_condition(condition or ""),
        ),
    )


def fingerprint(body: str) -> str:
    return sha256(body.encode()).hexdigest()


def _read_statement(statement: str, bodies: list[str], declared: Declared) -> None:
    if found := _FUNCTION.match(statement):
        is_replacing, name, arguments, before, body, after = found.groups()
        options = f"{before} {after}"
        settings = re.findall(r"SET (\w+) (?:=|TO) (.+?)(?= (?:AS|LANGUAGE|SECURITY|STABLE|SET)\b|$)", options.strip())
        key = (name, _count(arguments))
        function = Function(
            source=fingerprint(bodies[int(body)]),
            definer="SECURITY DEFINER" in options.upper(),
            # As pg_proc has them: whatever else is set for the function counts too.
            search_path="; ".join(f"{name}={value.strip()}" for name, value in settings).removeprefix("search_path="),
        )
        if is_replacing and key in declared.functions:
            # Replacing leaves a function to whom it belongs.
            function = replace(function, owner=declared.functions[key].owner)
        declared.functions[key] = function
    elif found := _OWNER.match(statement):
        key = (found[1], _count(found[2]))
        declared.functions[key] = replace(declared.functions[key], owner=found[3])
    elif found := _DROPPED_FUNCTION.match(statement):
        declared.functions.pop((found[1], _count(found[2])), None)
    elif _TRIGGER.fullmatch(statement):
        table, name, trigger = read_trigger(statement)
        declared.triggers.setdefault(table, {})[name] = trigger
    elif found := _DROPPED_TRIGGER.match(statement):
        declared.triggers.get(found[2], {}).pop(found[1], None)
    elif (found := _ALWAYS.match(statement)) and found[2] in declared.triggers.get(found[1], {}):
        of_table = declared.triggers[found[1]]
        of_table[found[2]] = replace(of_table[found[2]], always=True)


def _event(text: str) -> str:
    event, _, columns = text.strip().partition(" OF ")
    names = sorted(name.strip(' "') for name in columns.split(",") if name.strip())
    return " OF ".join([event.upper(), *([", ".join(names)] if names else [])])


def _condition(text: str) -> str:
    """A condition without what the server adds when it prints one: brackets, types, the case of names."""
    return re.sub(r"::\w+|\bROW\b|[()\s]", "", text, flags=re.IGNORECASE).lower()


def _count(arguments: str) -> int:
    """How many; none of ours has a comma in its type."""
    return len([a for a in arguments.split(",") if a.strip()])


def _loader() -> MigrationLoader:
    # Without a connection it reads the files and asks no database.
    return MigrationLoader(None)


def _migrations_sql() -> Iterator[str]:
    graph = _loader().graph
    seen: set[tuple[str, str]] = set()
    for leaf in sorted(graph.leaf_nodes()):
        for node in graph.forwards_plan(leaf):
            if node not in seen:
                seen.add(node)
                yield from _statements(graph.nodes[node].operations)


def _statements(operations: Iterable[Any]) -> Iterator[str]:
    for operation in operations:
        if isinstance(operation, SeparateDatabaseAndState):
            yield from _statements(operation.database_operations)
        elif isinstance(operation, RunSQL):
            pieces = [operation.sql] if isinstance(operation.sql, str) else operation.sql
            for piece in pieces:
                yield piece if isinstance(piece, str) else piece[0]
