"""Queries that are composed once and asked again and again, of whichever tenant is active and with other values.

The ORM composes a statement anew each time, which takes longer than PostgreSQL needs to answer a small one. What is
kept is the ORM's own statement, and its rows become the same instances. The first lock holds as elsewhere: the tenant
is that of the scope in which the query is asked, and outside a transaction it is refused.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

from django.db import DEFAULT_DB_ALIAS, connection, models
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.query import ModelIterable

from kaireon.tenancy import context

M = TypeVar("M", bound=models.Model)

# Stands for what is asked about while a statement is composed. An id is random, so that it is nothing else.
_STANDS_FOR: dict[type, Callable[[str], object]] = {
    UUID: lambda _name: uuid4(),
    str: lambda name: f"(any {name})",
    list: lambda name: [f"(any {name})"],
}
_TENANT = "tenant"


class NotKept(TypeError):
    """Only plain queries are kept: instances of one model, or values; and what is asked must stand in the statement."""


def among(column: str, texts: list[str]) -> RawSQL:
    """True where a column is one of these texts, however many: one array, where `__in` makes a place for each.

    `column` as `table.column`, in our own words.
    """
    return RawSQL(f"{column} = ANY(%s::text[])", [texts], output_field=models.BooleanField())  # noqa: S611 - as said


@dataclass(frozen=True)
class _Place:
    """Where a value of the asker goes in."""

    name: str


@dataclass(frozen=True, kw_only=True)
class _Statement:
    sql: str
    values: tuple[object, ...]
    # The names of the instance's columns; none where values are asked for.
    columns: tuple[str, ...]
    converted: Callable[[list[Any]], Iterable[Any]]


class Kept(Generic[M]):
    """`Kept(lambda request: Letter.objects.filter(request=request), request=UUID).all(request=…)`.

    Its values are ids or texts, as their types say, or lists of texts for `among`. The function is called once: it may
    not look at them.
    """

    def __init__(
        self, compose: Callable[..., "QuerySet[M, Any]"], /, **values: type[UUID] | type[str] | type[list[str]]
    ) -> None:
        self._compose = compose
        self._values = values
        self._statement: _Statement | None = None

    def all(self, **given: UUID | str | list[str]) -> list[M]:
        """The instances, in the order of the query."""
        statement = self._composed()
        rows = self._asked(statement, given)
        return [self._model.from_db(DEFAULT_DB_ALIAS, statement.columns, row) for row in rows]

    def first(self, **given: UUID | str | list[str]) -> M | None:
        """Of a query that has one at most, or is ordered."""
        return next(iter(self.all(**given)), None)

    def values(self, **given: UUID | str | list[str]) -> list[tuple[Any, ...]]:
        """The rows of a query of `values_list`."""
        return [tuple(row) for row in self._asked(self._composed(), given)]

    def is_any(self, **given: UUID | str | list[str]) -> bool:
        """Whether there is a row; let the query ask for one at most, by `values_list("pk")[:1]`."""
        return bool(self.values(**given))

    def _asked(self, statement: _Statement, given: dict[str, Any]) -> Iterable[Any]:
        if not context.in_transaction():
            raise context.OutsideTransaction("Tenant data is read and written inside transaction() only.")
        given = {**given, _TENANT: context.tenant_id()}
        values: list[Any] = [given[v.name] if isinstance(v, _Place) else v for v in statement.values]
        with connection.cursor() as cursor:
            cursor.execute(statement.sql, values)
            return statement.converted(cursor.fetchall())

    def _composed(self) -> _Statement:
        if self._statement is None:
            with context.composing() as tenant:
                self._statement = self._statement_of(tenant)
        return self._statement

    def _statement_of(self, tenant: str) -> _Statement:
        stands = {name: _STANDS_FOR[kind](name) for name, kind in self._values.items()}
        rows = self._compose(**stands)
        self._model = rows.model
        compiler: Any = rows.query.get_compiler(using=DEFAULT_DB_ALIAS)
        sql, values = compiler.as_sql()
        places = {tenant: _Place(_TENANT)} | {_key(value): _Place(name) for name, value in stands.items()}
        put = tuple(
            places.get(_key(value), value) if isinstance(value, UUID | str | list) else value for value in values
        )
        if missing := set(places.values()) - set(put):
            raise NotKept(", ".join(sorted(place.name for place in missing)))
        gives_instances = rows._iterable_class is ModelIterable
        if gives_instances and (compiler.klass_info.get("related_klass_infos") or rows.query.annotations):
            raise NotKept(rows.model.__name__)
        selected = [column[0] for column in compiler.select]
        converters = compiler.get_converters(selected)

        def converted(found: list[Any]) -> Iterable[Any]:
            return compiler.apply_converters(found, converters) if converters else found

        columns = tuple(column.target.attname for column in selected) if gives_instances else ()
        return _Statement(sql=sql, values=put, columns=columns, converted=converted)


def _key(value: object) -> Hashable:
    return tuple(value) if isinstance(value, list) else value
