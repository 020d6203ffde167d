"""Checks the model of the protocol, docs/protocol.pml, with Spin.

The protocol must hold in every order of its steps; each variant that was rejected must lose a
write; and each event of the model must be possible, or what holds would hold of nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

MODEL = Path(__file__).resolve().parent.parent / "docs" / "protocol.pml"

# What is needed -> the Debian packages that have it; gcc's own has no headers.
PROGRAMS = {"spin": "spin", "gcc": "gcc libc6-dev"}

# No search comes near these; one that does was cut short, and shows nothing.
DEPTH = 250_000
MEGABYTES = 800
SECONDS = 120.0

# What a check finds. The first three are the model's names for what must not be.
LOST, APART, UNEQUAL = "lost", "apart", "unequal"
HOLDS, POSSIBLE, DEADLOCK = "holds", "possible", "deadlock"
CUT_SHORT, FAILED = "cut short", "failed"

VARIANTS = (
    "NO_DRAIN",
    "NO_OPEN_FLAG",
    "CACHED_SWITCHES",
    "XMIN",
    "STABLE_SWITCHES",
    "NO_ROW_LOCK",
    "READ_WITH_LOCK",
    "ONE_STATEMENT",
    "CAPTURE_MISSES",
    "CAPTURE_BEHIND",
    "MARK_LEFT",
    "COPY_OVERWRITES",
    "INSERT_ONLY",
    "CATCH_UP_UNLOCKED",
    "CATCH_UP_UNASKED",
    "EARLY_VERIFICATION",
    "OLD_EVIDENCE",
    "CANARY_STAYS",
    "CANARY_UNVERIFIED",
    "CANARY_WRITES",
)

_ROUTES = ("BLOB", "BLOB_MIRRORED", "TABLES_MIRRORED", "TABLES")
# The two writers of this release are alike.
_WRITERS = ("WRITER", "PREVIOUS")
_STEPS = (("BLOB", "BLOB_MIRRORED"), ("BLOB_MIRRORED", "TABLES_MIRRORED"), _ROUTES[2:])
# There the previous release is refused.
IMPOSSIBLE = "ACKNOWLEDGED(PREVIOUS,TABLES)"
EVENTS = (
    *(f"FLIPPED({a},{b})" for a, b in _STEPS),
    *(f"FLIPPED({b},{a})" for a, b in _STEPS),
    *(e for w, r in product(_WRITERS, _ROUTES) if (e := f"ACKNOWLEDGED({w},{r})") != IMPOSSIBLE),
    *(f"DIED({who})" for who in (*_WRITERS, "WORKER")),
    "DRAIN_DIED",
    "DRAIN_WAITS",
    "VERIFIER_DIED",
    "FOUND_EQUAL",
    "FOUND_DIFFERENT",
    "REFUSED_IN_TABLES",
    "REFUSED_BEHIND",
    "TRIGGER_SEES_A_FLIP",
    "COPIED",
    "COPY_CLASHES",
    "CAUGHT_UP",
    "CAUGHT_UP_IN_REVERSE",
    "PRIMARY_MOVED",
    "CANARY_RAISED",
    "CANARY_LOWERED",
    "CANARY_ENDED",
)


@dataclass(frozen=True, kw_only=True)
class Check:
    """A search of the model with some names defined, and what it must find."""

    name: str
    expected: str
    defines: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a search found; `why` is what Spin or gcc said where that is no finding."""

    check: Check
    found: str
    why: str = ""
    states: int = 0
    seconds: float = 0.0
    megabytes: float = 0.0

    @property
    def passes(self) -> bool:
        return self.found == self.check.expected

    def line(self) -> str:
        """One row of the table."""
        verdict = "" if self.passes else f"  WRONG: {self.check.expected!r} was expected"
        return (
            f"{self.check.name:<38} {self.found:<9} {self.states:>10,} {self.seconds:>6.1f}"
            f" {self.megabytes:>6.0f}{verdict}"
        )


def checks() -> list[Check]:
    """All of them: the protocol, the variants, each property alone, the events."""
    return [
        Check(name="protocol", expected=HOLDS, defines=(f"SEEK={IMPOSSIBLE}",)),
        *(Check(name=v, expected=LOST, defines=(f"{v}=1", "ONLY=LOST")) for v in VARIANTS),
        # That a property can fail is seen where it is asked for alone.
        Check(name="NO_DRAIN, routes", expected=APART, defines=("NO_DRAIN=1", "ONLY=APART")),
        Check(
            name="CAPTURE_MISSES, evidence",
            expected=UNEQUAL,
            defines=("CAPTURE_MISSES=1", "ONLY=UNEQUAL"),
        ),
        *(Check(name=e, expected=POSSIBLE, defines=(f"SEEK={e}",)) for e in EVENTS),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks that are asked for.

    Returns:
        0 if each found what is expected of it, else 1.
    """
    options = _parser().parse_args(arguments)
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        packages = " ".join(PROGRAMS[program] for program in missing)
        print(
            f"The model needs {' and '.join(missing)}, and there is none on PATH. On Debian or"
            f" Ubuntu: apt-get install {packages}.",
            file=sys.stderr,
        )
        return 1
    known = [each.name for each in checks()]
    if unknown := sorted({*options.names} - {*known}):
        print(f"No check is named {unknown}; expected some of {known}.", file=sys.stderr)
        return 1
    chosen = [each for each in checks() if not options.names or each.name in options.names]
    return _report(chosen, options.define, options.depth)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="checks to run; all of them without a name")
    parser.add_argument(
        "-D", dest="define", action="append", default=[], help="NAME=VALUE, defined in every check"
    )
    parser.add_argument("--depth", type=int, default=DEPTH, help="the longest order of steps")
    return parser


def _report(chosen: Sequence[Check], defines: Sequence[str], depth: int) -> int:
    began = time.monotonic()
    print(f"{'check':<38} {'found':<9} {'states':>10} {'s':>6} {'MB':>6}")
    wrong = 0
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for result in pool.map(lambda each: search(each, defines, depth), chosen):
            wrong += not result.passes
            print(result.line(), flush=True)
            if result.why:
                print(result.why, file=sys.stderr)
    right = f"{len(chosen) - wrong} of {len(chosen)} checks found what they must"
    print(f"{right}, in {time.monotonic() - began:.0f} s.")
    return 1 if wrong else 0


def search(check: Check, defines: Sequence[str] = (), depth: int = DEPTH) -> Result:
    """Have Spin make a program of the model, and that program look at every state."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="prefs-model-") as folder:
        # Spin hands what is defined on its command line to a shell, as it is.
        lines = [f"#define {each.replace('=', ' ', 1)}" for each in (*check.defines, *defines)]
        text = "\n".join([*lines, f'#include "{MODEL}"', ""])
        Path(folder, "checked.pml").write_text(text, encoding="utf-8")
        try:
            output = _run(folder, depth)
        except subprocess.TimeoutExpired as error:
            return Result(check=check, found=CUT_SHORT, why=str(error))
        except subprocess.CalledProcessError as error:
            return Result(check=check, found=FAILED, why=f"{error}\n{error.stdout}{error.stderr}")
    return _judged(check, output, time.monotonic() - began)


def _run(folder: str, depth: int) -> str:
    # Every order: no bitstate hashing, no partial-order reduction.
    options = ["-O0", "-w", "-DSAFETY", "-DNOREDUCE", f"-DMEMLIM={MEGABYTES}"]
    output = ""
    for command in (
        ["spin", "-a", "checked.pml"],
        ["gcc", *options, "-o", "pan", "pan.c"],
        [str(Path(folder, "pan")), f"-m{depth}", "-w20"],
    ):
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=True, timeout=SECONDS
        )
        output = done.stdout + done.stderr
    return output


def _judged(check: Check, output: str, seconds: float) -> Result:
    def figure(pattern: str) -> float:
        found = re.search(pattern, output)
        return float(found[1]) if found else 0.0

    found = _found(output)
    return Result(
        check=check,
        found=found,
        why=output.strip() if found in (CUT_SHORT, FAILED) else "",
        states=int(figure(r"(\d+) states, stored")),
        seconds=seconds,
        megabytes=figure(r"([\d.]+)\s+total actual memory usage"),
    )


def _found(output: str) -> str:
    """What Spin's report says: a violation, or a search that was complete, or neither."""
    said, _, report = output.partition("Full statespace search")
    violated = re.search(r"assertion violated\s+(.*?) \(at depth", said)
    if violated:
        named = re.search(rf"\b({LOST}|{APART}|{UNEQUAL})\b", violated[1])
        return named[1] if named else POSSIBLE
    if "invalid end state" in said:
        return DEADLOCK
    if "max search depth too small" in said or "Search not completed" in said:
        return CUT_SHORT
    return HOLDS if re.search(r"errors: 0\b", report) else FAILED


if __name__ == "__main__":
    sys.exit(main())
