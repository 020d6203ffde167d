"""Asks this site for users whom it cannot have, and prints what was wrong with the answers."""

from __future__ import annotations

import json

import django


def main() -> None:
    """Ask, and print a JSON list."""
    django.setup()
    from django.core.management import call_command

    from prefs.models import UserPreferences
    from tests.prefs.managers.test_keys_of_nobody import IMPOSSIBLE, ask_for_nobody
    from tests.uuid_site.models import Member

    call_command("migrate", verbosity=0)
    known = Member.objects.create(login="known")
    # A whole number is a UUID to Django, so one of 128 bits and more is the first that is not.
    more = {"unknown": str(known.pk)[::-1], "no UUID": 2**128, "cut": str(known.pk)[:-1]}
    wrong = ask_for_nobody(known.pk, {**IMPOSSIBLE, **more})
    if UserPreferences.objects.document(str(known.pk)) != {"x": 1}:
        wrong.append("what was written of the user who is there")
    print(json.dumps(wrong))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
