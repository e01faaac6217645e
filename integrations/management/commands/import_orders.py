"""Imports a file of orders from the command line."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db.models import Q
from django.utils.text import slugify
from django.utils.timezone import now
from django.utils.translation import gettext as _

from integrations import files, ingest
from integrations.canonical import Problem
from integrations.files.runs import advance, finish_if_settled
from integrations.mapping import TRIAL_LIMIT, BadDefinition, Sample, trial
from integrations.mapping.starters import STARTERS
from integrations.mapping.versions import named
from integrations.models import Connection, FieldMapping, ImportRun
from orders import audit
from orders.masters import Shop
from orders.stages import Role

DONE, SOME_FAILED, REFUSED = 0, 1, 2


class Refused(Exception):
    """The import cannot begin. The message says why, and what to do."""


class Command(BaseCommand):
    help = (
        "Imports orders from a CSV, XLSX, JSON or JSON lines file (text files also as .gz). "
        "Exit codes: 0 all rows went in, 1 some rows failed, 2 the file was refused."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the file")
        parser.add_argument("--shop", required=True, help="code of the shop whose orders they are")
        parser.add_argument(
            "--mapping",
            required=True,
            help=f"name of a field mapping, a JSON file with one, or a starter: {', '.join(STARTERS)}",
        )
        parser.add_argument("--connection", help="slug of the connection; without it one is chosen or made")
        parser.add_argument(
            "--trial",
            action="store_true",
            help=f"show what the first {TRIAL_LIMIT} would become; writes no order",
        )
        parser.add_argument("--json", action="store_true", help="machine-readable result on standard output")
        parser.add_argument(
            "--wait", action="store_true", default=True, help="settle the orders before returning (default)"
        )
        parser.add_argument(
            "--no-wait", action="store_false", dest="wait", help="leave all work to the worker"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with audit.acting(way="import"):
            try:
                code = self._try(options) if options["trial"] else self._import(options)
            except (Refused, files.FileRefused, BadDefinition, OSError) as error:
                self._tell(
                    {"result": "refused", "error": str(error)},
                    _("Refused: %(why)s") % {"why": error},
                    options,
                )
                code = REFUSED
        if code:
            sys.exit(code)

    def _tell(self, data: dict[str, Any], text: str, options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(data, ensure_ascii=False))
        else:
            (self.stderr if data["result"] == "refused" else self.stdout).write(text)

    # Trial.

    def _try(self, options: dict[str, Any]) -> int:
        shop, mapping = _shop(options["shop"]), _mapping(options["mapping"], keep=False)
        with options["file"].open("rb") as file:
            digest = files.keep(file)
        records = files.first_records(digest, options["file"].name, mapping, TRIAL_LIMIT)
        samples = trial(mapping.definition, records, shop=shop.code)
        failed = sum(bool(sample.problems) for sample in samples)
        lines = [_sample_line(sample) for sample in samples]
        lines.append(
            _("%(count)d samples, %(failed)d failed. Nothing was written.")
            % {"count": len(samples), "failed": failed}
        )
        data = {"result": "trial", "samples": [_sample_data(sample) for sample in samples], "failed": failed}
        self._tell(data, "\n".join(lines), options)
        return SOME_FAILED if failed else DONE

    # Import.

    def _import(self, options: dict[str, Any]) -> int:
        shop, mapping = _shop(options["shop"]), _mapping(options["mapping"], keep=True)
        connection = _connection(options["connection"], shop, mapping)
        with options["file"].open("rb") as file:
            run = files.start_import(connection, mapping, file, options["file"].name, None)
        if options["wait"]:
            self._carry_out(run, show=not options["json"] and sys.stderr.isatty())
        run.refresh_from_db()
        path = _error_file(run)
        self._tell(_run_data(run, path), _summary(run, path), options)
        if run.state == ImportRun.State.FAILED:
            return REFUSED
        return SOME_FAILED if run.n_errors else DONE

    def _carry_out(self, run: ImportRun, *, show: bool) -> None:
        while advance(run.pk):
            self._progress(run, show=show)
        while ingest.process().n_messages:
            self._progress(run, show=show)
        finish_if_settled(run.pk)
        if show:
            self.stderr.write("")

    def _progress(self, run: ImportRun, *, show: bool) -> None:
        if show:
            run.refresh_from_db()
            settled = run.n_orders + run.n_duplicates + run.n_errors
            self.stderr.write(f"\r{run.n_rows}/{run.n_total or '?'} rows read, {settled} settled ", ending="")


def _shop(code: str) -> Shop:
    shop: Shop | None = Shop.objects.filter(code=code).first()
    if shop is None:
        known = ", ".join(Shop.objects.values_list("code", flat=True)[:20]) or "-"
        raise Refused(
            _("There is no shop “%(code)s”. Known shops: %(known)s.") % {"code": code, "known": known}
        )
    return shop


def _mapping(name: str, *, keep: bool) -> FieldMapping:
    """The mapping of this name; a JSON file or a starter becomes one. keep: whether that is saved."""
    mapping: FieldMapping | None = FieldMapping.objects.filter(name=name).first()
    if mapping is not None:
        return mapping
    if name.endswith(".json") and Path(name).is_file():
        label, definition = Path(name).stem[:80], _definition(Path(name))
    elif name in STARTERS:
        label, definition = name, STARTERS[name][1]
    else:
        known = ", ".join([*FieldMapping.objects.values_list("name", flat=True)[:20], *STARTERS])
        raise Refused(
            _("There is no field mapping “%(name)s”. Known: %(known)s.") % {"name": name, "known": known}
        )
    return (
        named(label, definition, by=None, at=now())
        if keep
        else FieldMapping(name=label, definition=definition)
    )


def _definition(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Refused(_("%(file)s is not JSON: %(why)s.") % {"file": path, "why": error}) from error
    if not isinstance(found, dict):
        raise BadDefinition([Problem("definition", _("A definition is a JSON object."))])
    return found


def _connection(slug: str | None, shop: Shop, mapping: FieldMapping) -> Connection:
    if slug:
        return _named_connection(slug, shop)
    rows = Connection.objects.filter(connector="rows", shop=shop, is_active=True)
    found: Connection | None = rows.filter(Q(mapping=mapping) | Q(mapping=None)).order_by("id").first()
    if found is not None:
        return found
    made: Connection = Connection.objects.create(
        slug=_free_slug(f"files-{slugify(shop.code)}"[:56]),
        label=_("Files of %(shop)s") % {"shop": shop},
        connector="rows",
        role=Role.SHOP,
        shop=shop,
        mapping=mapping,
        is_demo=shop.is_demo,
    )
    return made


def _named_connection(slug: str, shop: Shop) -> Connection:
    found: Connection | None = Connection.objects.filter(slug=slug).first()
    if found is None:
        raise Refused(_("There is no connection “%(slug)s”.") % {"slug": slug})
    if found.shop_id != shop.pk:
        raise Refused(_("The connection “%(slug)s” belongs to another shop.") % {"slug": slug})
    return found


def _free_slug(wanted: str) -> str:
    taken = set(Connection.objects.filter(slug__startswith=wanted).values_list("slug", flat=True))
    number = 2
    while wanted in taken and f"{wanted}-{number}" in taken:
        number += 1
    return f"{wanted}-{number}" if wanted in taken else wanted


def _error_file(run: ImportRun) -> Path | None:
    if not run.n_errors:
        return None
    path = Path(settings.UPLOAD_DIR) / f"errors-{run.pk}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(files.error_csv(run))
    path.chmod(0o600)
    return path


def _run_data(run: ImportRun, path: Path | None) -> dict[str, Any]:
    return {
        "result": str(run.state),
        "run": run.pk,
        "rows": run.n_rows,
        "orders": run.n_orders,
        "duplicates": run.n_duplicates,
        "errors": run.n_errors,
        "error": run.error,
        "errors_file": str(path) if path else None,
    }


def _summary(run: ImportRun, path: Path | None) -> str:
    if run.error:
        return _("The file was refused: %(why)s") % {"why": run.error}
    text = _(
        "%(rows)d rows: %(orders)d brought something new, %(seen)d were seen before, %(errors)d failed."
    ) % {
        "rows": run.n_rows,
        "orders": run.n_orders,
        "seen": run.n_duplicates,
        "errors": run.n_errors,
    }
    return (
        f"{text}\n" + _("The rows that failed, with the reasons: %(path)s") % {"path": path} if path else text
    )


def _sample_line(sample: Sample) -> str:
    if sample.problems:
        return f"{sample.number}: " + "; ".join(f"{one.field}: {one.error}" for one in sample.problems)
    order = sample.order
    told = ", ".join(fact.kind for fact in sample.facts)
    if order is None:
        return f"{sample.number}: {told}"
    lines = ", ".join(f"{line.sku} x {line.qty}" for line in order.lines)
    return f"{sample.number}: {order.external_id} | {order.placed_at:%Y-%m-%d %H:%M}Z | {lines} | {told}"


def _sample_data(sample: Sample) -> dict[str, Any]:
    order = sample.order
    return {
        "verdict": sample.verdict,
        "external_id": order.external_id if order else None,
        "facts": [fact.kind for fact in sample.facts],
        "problems": [{"field": one.field, "error": one.error} for one in sample.problems],
    }
