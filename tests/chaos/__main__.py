"""`python -m tests.chaos --minutes N`: run the harness, print what happened, exit 1 if unclean.

With `--broken` a protocol is broken on purpose, and the run ends with the first evidence of it.
With `--all-broken` each of them is, one after the other: exit 1 where one survives.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Run it.

    Returns:
        0 where nothing was lost, doubled, out of nowhere or complained of; with `--all-broken`
        0 where each broken protocol was caught.
    """
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    broken = parser.add_mutually_exclusive_group()
    broken.add_argument("--broken", metavar="NAME", help="break the protocol; see broken.py")
    broken.add_argument("--all-broken", action="store_true", help="break every one in turn")
    options = parser.parse_args()
    if options.all_broken:
        from tests.chaos.each import each_broken

        return each_broken(options.minutes, options.seed, _tell)
    return _run(options.minutes, options.seed, options.broken)


def _tell(line: str) -> None:
    print(line, flush=True)


def _run(minutes: float, seed: int, name: str | None) -> int:
    from tests.chaos import cluster

    with cluster.running() as server, tempfile.TemporaryDirectory() as folder:
        os.environ["PREFS_CHAOS_DATABASE"] = json.dumps(server.database())
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.chaos.settings"
        import django

        django.setup()
        from tests.chaos.broken import broken
        from tests.chaos.conductor import Conductor, Plan
        from tests.chaos.report import caught, is_caught, lines

        plan = Plan(seconds=minutes * 60, seed=seed, broken=broken(name) if name else None)
        _tell(f"seed {plan.seed}, {minutes:g} minutes")
        totals = Conductor(plan, server, Path(folder)).run(_tell)
        _tell("\n".join(lines(totals)))
        if name:
            _tell(caught(name, totals))
            return 1 if is_caught(totals) else 0
        return 0 if totals.clean else 1


if __name__ == "__main__":
    sys.exit(main())
