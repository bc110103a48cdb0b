"""`manage.py mask_file IN OUT --format csv --columns email,phone --mode mask`: hide personal values of a file."""

import csv
import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser

from kaireon.flows import files
from kaireon.lib.csv_safe import SafeWriter, neutral
from kaireon.lib.masking import ALGORITHMS, LEGACY, MASKS, KeyedHash, hash_value, mask
from kaireon.lib.progress import Progress
from kaireon.tenancy import resolver
from kaireon.tenancy.keyring import keyring

INTERRUPTED = 130
# How often progress looks at where it is.
EVERY = 1000
_HALF_PAIR = re.compile("[\ud800-\udfff]")


class Command(BaseCommand):
    help = "Mask or hash columns of a CSV or NDJSON file into another. Lines that cannot be read go to the rejects."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", type=Path, metavar="IN")
        parser.add_argument("target", type=Path, metavar="OUT", help="Written whole, or not at all.")
        parser.add_argument("--format", choices=files.FORMATS, required=True)
        parser.add_argument("--columns", required=True, help="Separated by commas.")
        parser.add_argument("--mode", choices=["mask", "hash", "hmac"], required=True)
        parser.add_argument("--as", dest="as_format", choices=[m.name for m in MASKS], help="Mask: do not detect.")
        parser.add_argument("--algorithm", choices=list(ALGORITHMS), default="sha256", help="Hash: default sha256.")
        parser.add_argument("--tenant", help="Hmac: whose key.")
        parser.add_argument("--purpose", help="Hmac: what for; other purposes give other pseudonyms.")
        parser.add_argument("--rejects", type=Path, help="Where refused lines are listed; default OUT.rejects.csv.")
        parser.add_argument("--json", action="store_true", help="Answer with one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        source: Path = options["source"]
        target: Path = options["target"]
        rejects: Path = options["rejects"] or target.with_name(f"{target.name}.rejects.csv")
        if len({source.resolve(), target.resolve(), rejects.resolve()}) < 3:
            raise CommandError("IN, OUT and --rejects must be three files.")
        names = [name.strip() for name in options["columns"].split(",") if name.strip()]
        if not names:
            raise CommandError("--columns must name at least one column.")
        change = self._change(options)
        partial, listing = (path.with_name(f".{path.name}.part") for path in (target, rejects))
        try:
            done = self._rewrite(
                source=source, partial=partial, listing=listing, names=names, change=change, options=options
            )
            if done["rejected"]:
                listing.replace(rejects)
            else:
                # What an earlier run refused is no news of this one.
                rejects.unlink(missing_ok=True)
            partial.replace(target)
        except OSError as e:
            raise CommandError(f"{e.filename or source}: {e.strerror or type(e).__name__}.") from e
        except files.UnusableFile as e:
            raise CommandError(f"{source}: {e}") from e
        except KeyboardInterrupt:
            self.stderr.write("Stopped; OUT is as it was.")
            raise SystemExit(INTERRUPTED) from None
        finally:
            partial.unlink(missing_ok=True)
            listing.unlink(missing_ok=True)
        self._tell(done, rejects, options)

    def _change(self, options: dict[str, Any]) -> Callable[[str], str]:
        if options["mode"] == "mask":
            as_format = options["as_format"]
            return lambda value: mask(value, as_format=as_format)
        if options["mode"] == "hash":
            algorithm = options["algorithm"]
            if algorithm in LEGACY:
                self.stderr.write(f"{algorithm} is kept for old pipelines only: use --mode hmac for new ones.")
            return lambda value: hash_value(value, algorithm)
        if not options["tenant"] or not options["purpose"]:
            raise CommandError("--mode hmac needs --tenant and --purpose.")
        if options["tenant"] not in resolver.active_tenants():
            raise CommandError(f"--tenant {options['tenant']}: no active tenant has this id.")
        return KeyedHash(keyring=keyring(), tenant_id=options["tenant"], purpose=options["purpose"])

    def _rewrite(
        self,
        *,
        source: Path,
        partial: Path,
        listing: Path,
        names: list[str],
        change: Callable[[str], str],
        options: dict[str, Any],
    ) -> dict[str, int]:
        done = {"rows": 0, "values": 0, "rejected": 0}
        with ExitStack() as stack:
            file = stack.enter_context(source.open("rb"))
            out = stack.enter_context(partial.open("w", encoding="utf-8", newline=""))
            refused = stack.enter_context(listing.open("w", encoding="utf-8", newline=""))
            bar = stack.enter_context(
                Progress(source.name, total=source.stat().st_size, quiet=options["verbosity"] < 1)
            )
            write = self._writer(file, out, names, options["format"])
            listed = SafeWriter(refused)
            listed.writerow(["line", "field", "reason"])
            unseen = set(names)
            for count, record in enumerate(files.records(file, options["format"]), 1):
                unseen.difference_update(record.row or ())
                fault = (record.fault, "") if record.row is None else _changed(record.row, names, change, done)
                if record.row is None or fault[0]:
                    listed.writerow([record.line, fault[1], fault[0]])
                    done["rejected"] += 1
                else:
                    write(record.row)
                    done["rows"] += 1
                if count % EVERY == 0:
                    bar.move_to(record.end, f"{count:,} rows")
        if unseen and done["rows"]:
            # A name that is misspelt would otherwise let through what it was to hide.
            raise CommandError(f"--columns: no row has {sorted(unseen)[0]!r}; nothing was written.")
        return done

    def _writer(self, file: Any, out: TextIO, names: list[str], format_: str) -> Callable[[dict[str, Any]], object]:
        if format_ == "ndjson":
            return lambda row: out.write(_line(row))
        header, delimiter = files.header(file)
        if unknown := [name for name in names if name not in header]:
            raise CommandError(f"--columns: the file has no column {unknown[0]!r}; it has {', '.join(header)}.")
        writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
        writer.writerow([neutral(name) for name in header])
        return lambda row: writer.writerow([neutral(cell) for cell in row.values()])

    def _tell(self, done: dict[str, int], rejects: Path, options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps({**done, "rejects": str(rejects) if done["rejected"] else None}))
            return
        self.stdout.write(
            f"{done['rows']:,} rows written, {done['values']:,} values hidden, {done['rejected']:,} refused."
        )
        if done["rejected"]:
            self.stdout.write(f"Refused lines and why: {rejects}")


def _line(row: dict[str, Any]) -> str:
    text = json.dumps(row, ensure_ascii=False) + "\n"
    # Half of a surrogate pair has an escape in JSON and no bytes in UTF-8.
    return json.dumps(row) + "\n" if _HALF_PAIR.search(text) else text


def _changed(
    row: dict[str, Any], names: list[str], change: Callable[[str], str], done: dict[str, int]
) -> tuple[str, str]:
    """Hide the row's values in place; the reason and the field when one cannot be, and the row must not pass."""
    for name in names:
        value = row.get(name)
        if value is None or value == "":
            continue
        if isinstance(value, dict | list):
            return "is no single value.", name
        row[name] = change(value if isinstance(value, str) else str(value))
        done["values"] += 1
    return "", ""
