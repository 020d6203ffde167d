"""What is wrong with an installation, and what makes it right again."""

from __future__ import annotations

from dataclasses import dataclass

REINSTALL = (
    "`manage.py install_prefs`, then `manage.py verify_prefs`: what was written meanwhile may be"
    " in one store alone"
)
KEYS_BACK = (
    "`manage.py backfill_prefs` in expanded, else `manage.py install_prefs`: a copy of many users"
    " goes without the foreign keys, and puts them back at its end"
)
BY_HAND = (
    "the statement for it that `manage.py sqlmigrate prefs 0001` prints, in `manage.py dbshell`,"
    " then `manage.py verify_prefs`"
)


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """A part of the installation that is not as expand made it, and what makes it so again."""

    what: str
    statements: tuple[str, ...] = ()
    """What `install_prefs` runs; none where it is a key, or for a hand to mend."""

    remedy: str = REINSTALL

    def __str__(self) -> str:
        return self.what


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that was done behind the migration's back, and what repairs it."""

    what: str
    repair: str

    def __str__(self) -> str:
        return f"{self.what}. {self.repair}"


def remedies(wrong: list[Flaw]) -> str:
    """What to run where these are wrong, each remedy once."""
    return "; and ".join(dict.fromkeys(flaw.remedy for flaw in wrong))
