"""Files that declare how things are to be, read strictly: what is not known to mean something is refused by its place.

One file a tenant, `<tenant>.yaml`, and `_platform.yaml` for what belongs to none, in the folder CONFIG_DIR:

    kaireon: 1
    retention:
      interactions: {days: 365, mode: governance}
"""

import json
import re
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from compliance.drift.kinds import KINDS, Items, Kind

FORMAT = 1
PLATFORM = "_platform"
MOST_BYTES = 1024 * 1024
# The longest that anything that can be declared is called.
LONGEST_NAME = 100
_HEAD = "kaireon"
_UNTEXT = re.compile("[\\x00\\ud800-\\udfff]")
_TENANT = re.compile(r"[a-z0-9_][a-z0-9_-]{0,62}")


class BadFile(ValueError):
    """A file that says nothing one could go by. `str()` of it names the file, the place in it, and what is wrong."""

    def __init__(self, file: str, place: str, problem: str) -> None:
        super().__init__(f"{file}: {place + ': ' if place else ''}{problem}")


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What a file says, by kind and name. A kind that is not in it is not declared; one that is empty is."""

    file: str
    sections: Mapping[str, Items]


class _Strict(yaml.SafeLoader):
    """Refuses aliases, and keys that are there twice: YAML would silently take the last."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(None, None, "aliases are not read: write it out", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a name is one word or text", key.start_mark)
            if key.value in seen:
                problem = f"{key.value!r} is there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        # YAML can spell them by number, and no text of ours can have them.
        if isinstance(node.value, str) and _UNTEXT.search(node.value):
            problem = "text has a NUL, or half of a character: take it out"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_scalar(node)


def path_of(folder: str, whose: str) -> Path:
    """The file of a tenant in the folder, there or not. Raises BadFile for a name that is none of ours."""
    if not _TENANT.fullmatch(whose):
        raise BadFile(whose, "", "is no name of a tenant.")
    return Path(folder) / f"{whose}.yaml"


def of_nobody(folder: str, tenants: Collection[str]) -> list[str]:
    """Names of files in the folder that look like ours and are read for nobody: a slip of the pen in a tenant's id."""
    known = {f"{whose}.yaml" for whose in (*tenants, PLATFORM)}
    there = (path.name for path in Path(folder).iterdir() if path.suffix in {".yaml", ".yml"})
    return sorted(name for name in there if name not in known and not name.startswith("."))


def read(path: Path, *, of_tenant: bool) -> Declared | None:
    """What a file declares; None when there is none. Raises BadFile, also when it cannot be read."""
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadFile(path.name, "", f"cannot be read: {error.strerror}.") from error
    if len(text) > MOST_BYTES:
        raise BadFile(path.name, "", f"is larger than {MOST_BYTES // 1024} KB.")
    return parse(text, name=path.name, of_tenant=of_tenant)


def parse(text: bytes, *, name: str, of_tenant: bool) -> Declared:
    """Raises BadFile."""
    try:
        said = yaml.load(text, Loader=_Strict)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadFile(name, *_problem(error)) from error
    if not isinstance(said, dict):
        raise BadFile(name, "", f'must begin with "{_HEAD}: {FORMAT}" and have sections.')
    if type(said.get(_HEAD)) is not int or said[_HEAD] != FORMAT:
        raise BadFile(name, _HEAD, f"must be {FORMAT}, the format of the file.")
    known = {kind.name: kind for kind in KINDS.values() if kind.of_tenant is of_tenant}
    sections = {}
    for section, items in said.items():
        if section == _HEAD:
            continue
        if section not in known:
            choice = ", ".join(sorted(known))
            raise BadFile(name, str(section)[:64], f"unknown section; known here are {choice}.")
        sections[section] = _items(name, known[section], items)
    return Declared(file=name, sections=sections)


def _items(file: str, kind: Kind, items: Any) -> Items:
    if items is None:
        return {}
    if not isinstance(items, dict):
        raise BadFile(file, kind.name, "must be a mapping of names.")
    found: dict[str, dict[str, Any]] = {}
    for name, fields in items.items():
        place = f"{kind.name}.{str(name)[:64]}"
        if not isinstance(name, str) or not name:
            raise BadFile(file, place, "must be named by text.")
        if len(name) > LONGEST_NAME or name != name.strip() or not name.isprintable():
            raise BadFile(
                file, place, f"must be named by one line of at most {LONGEST_NAME} characters, no space around."
            )
        if not isinstance(fields, dict) or not fields:
            raise BadFile(file, place, f"must say at least one of {', '.join(kind.fields)}.")
        for field in fields:
            if field not in kind.fields:
                raise BadFile(file, f"{place}.{str(field)[:64]}", f"unknown; known are {', '.join(kind.fields)}.")
        try:
            kind.check(name, fields)
        except ValueError as error:
            raise BadFile(file, place, str(error)) from error
        found[name] = fields
    return found


def _problem(error: Exception) -> tuple[str, str]:
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}" if mark is not None else ""
    problem = getattr(error, "problem", None) or "is nested too deeply, or no YAML"
    return place, f"{problem}."


def as_json(sections: Mapping[str, Items]) -> str:
    """The same in JSON: `{kaireon, <kind>: {<name>: {…}}}`."""
    return json.dumps({_HEAD: FORMAT, **sections}, ensure_ascii=False, sort_keys=True) + "\n"


def written(sections: Mapping[str, Items]) -> str:
    """The same as a file, in the order of names."""
    ordered = {kind: {name: dict(items[name]) for name in sorted(items)} for kind, items in sections.items()}
    return yaml.safe_dump({_HEAD: FORMAT, **ordered}, sort_keys=False, allow_unicode=True, width=120)
