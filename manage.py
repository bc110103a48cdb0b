#!/usr/bin/env python
"""Kaireon's command line: `manage.py help` lists the commands."""

import gc
import os
import sys


def main() -> None:
    # Nothing of what is imported is garbage, and looking for some is a fifth of the start; kaireon.ops ends this.
    gc.disable()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kaireon.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
