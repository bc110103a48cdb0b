"""What files declare, what is there, and bringing the one about by the other."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from cron import runner
from cron.models import Trigger
from tests.cast import ACME


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.CONFIG_DIR = str(tmp_path)
    return tmp_path


def declare(folder: Path, text: str, whose: str = ACME) -> Path:
    path = folder / f"{whose}.yaml"
    path.write_text(text)
    return path


def check(**options: Any) -> Any:
    return runner.run_job("gitops-drift-check", trigger=Trigger.COMMAND, **options)


def of_acme(ran: Any) -> dict[str, Any]:
    [entry] = [entry for entry in ran.body["perTenant"] if entry["tenantId"] == ACME]
    return dict(entry)


def manage(command: str, *args: str) -> str:
    out = StringIO()
    call_command(command, *args, stdout=out)
    return out.getvalue()


def apply(path: Path, *args: str) -> str:
    return manage("config_apply", str(path), f"--tenant={ACME}", *args)
