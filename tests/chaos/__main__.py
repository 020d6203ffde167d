"""`python -m tests.chaos --minutes N`: run the harness, print what happened, exit 1 if unclean."""

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
        0 where nothing was lost, doubled, out of nowhere or complained of.
    """
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    parser.add_argument("--broken", metavar="NAME", help="break the protocol; see broken.py")
    options = parser.parse_args()
    from tests.chaos import cluster

    with cluster.running() as server, tempfile.TemporaryDirectory() as folder:
        os.environ["PREFS_CHAOS_DATABASE"] = json.dumps(server.database())
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.chaos.settings"
        import django

        django.setup()
        from tests.chaos.broken import broken
        from tests.chaos.conductor import Conductor, Plan
        from tests.chaos.report import lines

        plan = Plan(seconds=options.minutes * 60, seed=options.seed, broken=broken(options.broken))
        print(f"seed {plan.seed}, {options.minutes:g} minutes", flush=True)
        totals = Conductor(plan, server, Path(folder)).run(lambda text: print(text, flush=True))
        print("\n".join(lines(totals)))
        return 0 if totals.clean else 1


if __name__ == "__main__":
    sys.exit(main())
