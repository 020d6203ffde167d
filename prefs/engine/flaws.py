"""What is wrong with an installation, and what makes it right again."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Part(enum.IntEnum):
    """What a flaw is of, in the order in which parts are put right."""

    FUNCTION = 1
    TRIGGER = 2
    STRANGER = 3
    """A function or a trigger that is named like ours."""

    KEY = 4
    RIGHT = 5
    TABLE = 6
    SAMPLE = 7


_REINSTALL = (
    "Run `manage.py install_prefs`, then `manage.py verify_prefs`: what was written meanwhile may"
    " be in one store alone"
)
_REMEDIES = {
    Part.FUNCTION: _REINSTALL,
    Part.TRIGGER: _REINSTALL,
    Part.STRANGER: _REINSTALL,
    Part.KEY: "Run `manage.py backfill_prefs` in expanded, where a copy of many users goes without"
    " the foreign keys and puts them back at its end; else `manage.py install_prefs`",
    Part.RIGHT: "Run `manage.py install_prefs`; it prints what its role may not do",
    Part.SAMPLE: "Run `manage.py install_prefs`",
    Part.TABLE: "Run the statement for it that `manage.py sqlmigrate prefs 0001` prints, in"
    " `manage.py dbshell`, then `manage.py verify_prefs`",
}


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """A part of the installation that is not as it should be, and what makes it so."""

    part: Part
    what: str
    statements: tuple[str, ...] = ()
    """What `install_prefs` runs; none where it is a key, or for a hand to mend."""

    by_hand: str = ""
    """What to do where no command of ours can."""

    @property
    def remedy(self) -> str:
        return self.by_hand or _REMEDIES[self.part]

    def __str__(self) -> str:
        return self.what


def flaw(part: Part, what: str, *statements: str, by_hand: str = "") -> Flaw:
    """A flaw, with the statements that put it right, or what a hand can do."""
    return Flaw(part=part, what=what, statements=statements, by_hand=by_hand)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that was done behind the migration's back, and what repairs it."""

    what: str
    repair: str

    def __str__(self) -> str:
        return f"{self.what}. {self.repair}"


def remedies(wrong: list[Flaw]) -> str:
    """What to do where these are wrong, each remedy once."""
    return ". ".join(dict.fromkeys(flaw.remedy for flaw in wrong)) + "."
