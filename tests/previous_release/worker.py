"""A process of one release: a command in JSON on each line of stdin, an answer on stdout.

Started as `python -m tests.previous_release.worker MODULE`, whose COMMANDS it serves; the
settings say which release it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import django


def serve(commands: dict[str, Callable[..., Any]]) -> None:
    """Answer until stdin ends; an error is an answer too."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"answer": commands[request.pop("command")](**request)}
        except Exception as error:  # noqa: BLE001 - whoever asked judges it
            answer = {"error": type(error).__name__, "message": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def transactions() -> dict[str, Callable[[], None]]:
    """Commands that hold a transaction open over others."""
    from django.db import transaction

    held = ExitStack()

    def begin() -> None:
        held.enter_context(transaction.atomic())

    return {"begin": begin, "commit": held.close}


if __name__ == "__main__":
    django.setup()
    serve({**import_module(sys.argv[1]).COMMANDS, **transactions()})
