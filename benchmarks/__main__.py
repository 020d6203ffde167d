"""`python -m benchmarks`: measure, and write what was measured."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from contextlib import closing
from pathlib import Path

from benchmarks.bench import Options
from benchmarks.databases import OURS, Databases, running, settings
from benchmarks.sections import NAMES

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Run it.

    Returns:
        0 when everything was measured, whether the limits are met or not.
    """
    given = _given()
    # So that the server is stopped and removed.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with running() as address:
        os.environ["PREFS_BENCHMARKS_DATABASE"] = json.dumps(settings(address, "postgres", OURS))
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
        import django

        django.setup()
        from benchmarks.run import measure

        options = Options(
            users=given.users, rounds=given.rounds, growth=given.growth, seed=given.seed
        )
        with closing(Databases(address)) as databases:
            measure(options, given.only or NAMES, databases, given.into, _say)
    return 0


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument(
        "--growth",
        type=_three,
        default=(100_000, 1_000_000, 10_000_000),
        metavar="N,N,N",
        help="the sizes at which time a user and memory are compared",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only",
        action="append",
        choices=NAMES,
        help="measure this section alone, and keep what was measured of the others",
    )
    parser.add_argument(
        "--into", type=Path, default=ROOT, metavar="FOLDER", help="a folder other than this one"
    )
    return parser.parse_args()


def _three(text: str) -> tuple[int, ...]:
    sizes = tuple(map(int, text.split(",")))
    if len(sizes) != 3 or sorted(sizes) != list(sizes):
        raise argparse.ArgumentTypeError("expected three sizes, the smallest first")
    return sizes


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
