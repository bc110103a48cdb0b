"""While the product is imported nobody looks for garbage. Once it is there every process does, or it would grow."""

import gc
import os
import subprocess
import sys

import pytest

from kaireon.local.folder import PROJECT

# In the way of each process: what manage.py runs, what gunicorn imports, what Celery does before anything.
STARTS = {
    "manage.py": "import runpy; sys.argv = ['manage.py', 'help']; runpy.run_path('manage.py', run_name='__main__')",
    "web": "import kaireon.wsgi",
    "worker": "from kaireon.celery import app; app.loader.import_default_modules()",
    "both": "from kaireon.celery import app; app.loader.import_default_modules(); import kaireon.wsgi",
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_it_looks_for_garbage_once_it_is_there(start: str) -> None:
    program = (
        f"import gc, sys\n{start}\nsys.stdout.flush(); assert gc.isenabled(); assert gc.get_freeze_count() > 100_000"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, env=os.environ, check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


def test_the_tests_do_too() -> None:
    assert gc.isenabled()
