"""The job `gitops-drift-check`: whether everything is as the files in CONFIG_DIR declare it."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings

from compliance.drift import files, watching
from cron.work import DoneInPart, Work
from kaireon.tenancy import context, resolver
from kaireon.tenancy.context import PLATFORM, platform_scope, scope, transaction

logger = logging.getLogger("kaireon.compliance")

UNSET = "CONFIG_DIR is not set: nothing is declared in files."
GONE = "config_dir_missing"


def check_platform(work: Work) -> Mapping[str, Any]:
    """`{platform: {declared, drift, differences, ofNobody}}`, or `{skipped}`. DoneInPart for a file that is none.

    `ofNobody` names the files that no active tenant has: what they declare is compared with nothing.
    """
    if not settings.CONFIG_DIR:
        return {"skipped": UNSET}
    if not _is_there():
        raise DoneInPart(f"{GONE}: CONFIG_DIR is no folder that can be read", {})
    strays = {"ofNobody": files.of_nobody(settings.CONFIG_DIR, resolver.active_tenants())}
    if strays["ofNobody"]:
        logger.warning("config_file_of_nobody", extra={"count": len(strays["ofNobody"])})
    try:
        declared = files.read(files.path_of(settings.CONFIG_DIR, files.PLATFORM), of_tenant=False)
    except files.BadFile as error:
        raise DoneInPart(
            "bad_config_file", {"platform": {"declared": True, "problem": str(error), **strays}}
        ) from error
    if declared is None:
        return {"platform": {"declared": False, "drift": 0, "differences": [], **strays}}
    with platform_scope(actor=work.actor), transaction():
        found = watching.differences(declared, now=work.now)
    if found and not work.dry_run:
        logger.warning("config_drift", extra={"tenant": PLATFORM, "count": len(found)})
    return {"platform": {**_said(found), **strays}}


def check_tenant(work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
    """`{declared, drift, differences, new, resolved}`; a dry run writes nothing down."""
    if not settings.CONFIG_DIR:
        return {"declared": False}, ()
    if not _is_there():
        # A volume that is not mounted declares nothing otherwise than before: what differs stays as it was found.
        return {"declared": False, "problem": "CONFIG_DIR is no folder that can be read."}, [GONE]
    try:
        declared = files.read(files.path_of(settings.CONFIG_DIR, context.tenant_id()), of_tenant=True)
    except files.BadFile as error:
        return {"declared": True, "problem": str(error)}, ["bad_config_file"]
    with scope(tenant_id=context.tenant_id(), actor=work.actor, request_id=str(work.run_id)), transaction():
        # Without a file nothing is declared any more, and nothing differs.
        found = watching.differences(declared, now=work.now) if declared else []
        new, resolved = (0, 0) if work.dry_run else watching.note(found, now=work.now)
    return {**_said(found), "declared": declared is not None, "new": new, "resolved": resolved}, ()


def _is_there() -> bool:
    return Path(settings.CONFIG_DIR).is_dir() and os.access(settings.CONFIG_DIR, os.R_OK | os.X_OK)


def _said(found: Sequence[watching.Difference]) -> dict[str, Any]:
    return {"declared": True, "drift": len(found), "differences": [one.as_dict() for one in found]}
