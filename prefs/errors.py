"""What the errors of ours have in common."""

from __future__ import annotations


class PrefsError(Exception):
    """Something that was refused, or has stopped; its sentence says what to do next.

    `exit_status` is what a command ends with: 1 for an error, 2 for a mistake in what was asked,
    4 for what the state of the migration refuses, 5 for what another process holds.
    """

    exit_status = 1


class Mistake(PrefsError):
    """What was asked for makes no sense."""

    exit_status = 2


class Refused(PrefsError):
    """What was asked for cannot be done in this state of the migration."""

    exit_status = 4


class HeldElsewhere(PrefsError):
    """Another process holds what this one would need."""

    exit_status = 5
