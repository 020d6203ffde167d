#!/usr/bin/env python3
"""Runs a management command; configuration errors end in one sentence, not a traceback."""

import os
import sys


def main() -> int:
    """Run the command named on the command line.

    Returns:
        The exit status: 1 when the configuration or the embedded server is at fault;
        every other status is raised by Django as ``SystemExit``.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
    except ImportError as error:
        sys.stderr.write(f"Django cannot be imported ({error}): use .venv/bin/python.\n")
        return 1
    from project.embedded import EmbeddedPostgresError

    try:
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, EmbeddedPostgresError) as error:
        if "--traceback" in sys.argv:
            raise
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
