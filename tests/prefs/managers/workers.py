"""What the writers' processes do: many merges, each of leaves that are theirs alone."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from prefs.models import UserPreferences

MERGES = 20

# Each writer has one mapped leaf; its values change with every merge.
_THEMES = ("light", "dark", "system")
_DIGESTS = ("off", "daily", "weekly")


def patch(writer: int, number: int) -> dict[str, Any]:
    """The patch of one merge: the writer's mapped leaf, and a key never used again."""
    mapped: list[dict[str, Any]] = [
        {"theme": _THEMES[number % 3]},
        {"items_per_page": number + 1},
        {"notifications": {"email": {"digest": _DIGESTS[number % 3]}}},
        {"notifications": {"quiet_hours": {"start": f"{number:02}:30"}}},
    ]
    return {f"writer {writer} merge {number}": number, **mapped[writer]}


def merge_all(writer: int, users: list[int]) -> None:
    """Merge every patch of the writer into each user, all users in one transaction."""
    for number in range(MERGES):
        with transaction.atomic():
            for user in sorted(users):
                UserPreferences.objects.merge(user, patch(writer, number))


def merge_carelessly(writer: int, users: list[int]) -> None:
    """The same by reading a document, changing it in Python and putting it back: a lost update."""
    for number in range(MERGES):
        for user in sorted(users):
            document = UserPreferences.objects.document(user)
            UserPreferences.objects.replace(user, {**document, **patch(writer, number)})


def lost(writers: int, document: dict[str, Any]) -> list[str]:
    """What of all that the writers merged is not in the document."""
    missing = [
        f"writer {writer} merge {number}"
        for writer in range(writers)
        for number in range(MERGES)
        if document.get(f"writer {writer} merge {number}") != number
    ]
    for writer in range(writers):
        last = patch(writer, MERGES - 1)
        missing += [f"{key} of writer {writer}" for key in last if not _has(document, key, last)]
    return missing


def _has(document: dict[str, Any], key: str, last: dict[str, Any]) -> bool:
    found, expected = document.get(key), last[key]
    if isinstance(found, dict):
        return bool(found == {**found, **expected})
    return bool(found == expected)
