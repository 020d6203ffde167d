"""Takes this site through the whole migration and back, and prints what became of it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import django
from django.conf import settings


def documents() -> dict[str, str | None]:
    """The text of every document, by key."""
    from prefs.models import UserPreferences
    from tests.uuid_site.models import Member

    texts = UserPreferences.objects.texts(Member.objects.values_list("pk", flat=True))
    return {str(key): text for key, text in texts.items()}


def step(*arguments: str) -> dict[str, Any]:
    """One command that must end well; what it printed as JSON."""
    from tests.support.running import run

    outcome = run(*arguments, "--json")
    assert outcome.status == 0, (arguments, outcome)
    return outcome.json


def look_for_dark() -> None:
    """Find those with the dark theme by each way of asking: all, the first, and beside a column."""
    from django.db.models import Q

    from tests.uuid_site.models import Member

    themes = Member.objects.order_by("pk").values_list("pk", "preferences__theme")
    dark = [key for key, theme in themes if theme == "dark"]
    found = Member.objects.filter(preferences__theme="dark").order_by("pk")
    keys = found.values_list("pk", flat=True)
    beside = keys.filter(Q(is_active=True) | Q(is_staff=True))
    assert dark
    assert (list(keys), list(keys[:3]), list(beside)) == (dark, dark[:3], dark)


def by_canary() -> None:
    """Read everybody by a canary, each read compared; then a damaged mirror ends it."""
    from django.db import connection, transaction

    from prefs import shadow
    from tests.uuid_site.models import Member

    before = documents()
    step("canary_prefs", "50", "--shadow", "100")
    assert documents() == before
    key = Member.objects.latest("pk").pk
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE user_preferences SET compact_mode = NOT coalesce(compact_mode, false)"
            " WHERE user_id = %s",
            [key],
        )
    assert Member.objects.get(pk=key).pk == key
    shadow.settle()
    found = step("status_prefs")
    assert found["canary"] == 0
    assert [each["user"] for each in found["mismatches"]] == [str(key)]
    assert step("canary_prefs", "--shadow", "0") == {"canary": 0.0, "shadow": 0.0}
    step("backfill_prefs")
    step("verify_prefs")


def there_and_back() -> list[str]:
    """Every transition forward and then backward; the states that were passed."""
    from tests.uuid_site.models import Member

    look_for_dark()
    passed = [step("advance_prefs")["state"]]
    step("backfill_prefs")
    step("verify_prefs")
    by_canary()
    passed.append(step("advance_prefs")["state"])
    step("verify_prefs")
    look_for_dark()
    passed.append(step("advance_prefs")["state"])
    passed.append(step("advance_prefs", "--noinput")["state"])
    look_for_dark()
    assert step("archive_prefs")["users"] == Member.objects.count()
    late = Member.objects.create(login="late", preferences={"theme": "light", "n": 1.0})
    late.preferences["theme"] = "dark"
    late.save()
    assert Member.objects.get(login="late", preferences__n=1.0).preferences == late.preferences
    passed += [step("rollback_prefs")["state"] for _ in range(2)]
    step("backfill_prefs", "--reverse")
    step("verify_prefs")
    passed += [step("rollback_prefs")["state"] for _ in range(2)]
    return passed


def served() -> list[bool]:
    """What the API does for a member: by `me`, by key, by other spellings of it, of another."""
    from django.test import Client

    from tests.uuid_site.models import Member

    settings.ALLOWED_HOSTS = ["testserver"]
    member: Any
    member, other = Member.objects.order_by("pk")[:2]
    Member.objects.filter(pk=member.pk).update(is_staff=True)
    client = Client()
    client.force_login(member)

    def status(key: object) -> int:
        return int(client.get(f"/api/users/{key}/preferences/").status_code)

    keys = (member.pk.hex, str(member.pk).upper(), f"{{{member.pk}}}", other.pk, "me/", "x%2Fy")
    return [status("me") == 200, status(member.pk) == 200, {*map(status, keys)} == {403}]


def blobs() -> dict[str, str | None]:
    """The text of every blob, by key."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute('SELECT "Code"::text, preferences::text FROM "Members of old"')
        return dict(cursor.fetchall())


def main() -> None:
    """Walk, and print a JSON object."""
    django.setup()
    from django.core.management import call_command

    settings.PREFS_CUTOVER_SOAK = settings.PREFS_CONTRACT_SOAK = timedelta(0)
    call_command("migrate", verbosity=0)
    step("seed_prefs", "--users", "200", "--dirty", "0.3")
    before = documents()
    copied = step("backfill_prefs", "--batch-size", "30")["copied"]
    passed = there_and_back()
    after = documents()
    found = {
        "copied": copied,
        "passed": passed,
        "same": {key: after[key] for key in before} == before,
        "blobs": blobs() == after,
        "served": served(),
        "late": [after[key] for key in after.keys() - before.keys()],
    }
    print(json.dumps(found))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
