"""Every broken protocol in turn, each on a cluster of its own, until the harness sees it.

At the end the table of `docs/reliability.md` is printed, the interleavings' column with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

from tests.chaos.table import play_the_interleavings, table


def each_broken(minutes: float, seed: int, tell: Callable[[str], None]) -> int:
    """Run each for as long as it is not caught, `minutes` at most; `tell` is given a line each.

    Returns:
        0 where all of them were caught.
    """
    survivors, names, ended = 0, _names(), []
    for name in names:
        words = ["--minutes", str(minutes), "--seed", str(seed), "--broken", name]
        done = subprocess.run(
            [sys.executable, "-m", "tests.chaos", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        last = done.stdout.splitlines()[-1:]
        caught = bool(last) and last[0].startswith(f"{name}: caught")
        # A run that failed in another way has caught nothing, and its output says why.
        tell(last[0] if last and last[0].startswith(f"{name}: ") else done.stdout)
        survivors += not caught
        ended += last
    played = play_the_interleavings()
    if played.returncode:
        tell(played.stdout)
    tell("\n".join(table(names, played.stdout, ended)))
    return 1 if survivors or played.returncode else 0


def _names() -> list[str]:
    # The registry needs Django, and asks for no database.
    os.environ["PREFS_CHAOS_DATABASE"] = json.dumps({"ENGINE": "django.db.backends.postgresql"})
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.chaos.settings"
    import django

    django.setup()
    from tests.prefs.interleavings.registry import PROTOCOLS

    return list(PROTOCOLS)
