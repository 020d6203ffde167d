"""Which reads are compared changes no answer, nor does it where nothing can be told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from prefs import shadow
from prefs.models import Mismatch, UserPreferences
from prefs.routing import SHADOW
from tests.prefs.canary.raising import force, verified
from tests.support.steps import add_users, part_blob, rows

User: Any = get_user_model()
USERS = 30


@pytest.fixture
def half_compared(site: str) -> Iterator[list[int]]:
    """Users in four groups each; half of the reads are compared."""
    keys = add_users(*([{"theme": "dark"}] * USERS))
    groups = [Group.objects.create(name=name) for name in "abcd"]
    for user in User.objects.all():
        user.groups.set(groups)
        LogEntry.objects.create(user=user, action_flag=ADDITION, object_repr="")
    verified()
    force(50, SHADOW)
    yield keys
    shadow.settle()
    rows("DELETE FROM django_admin_log")
    rows("DELETE FROM accounts_user_groups")
    rows("DELETE FROM auth_group")


TOLD_APART: dict[str, tuple[Callable[[], Any], int]] = {
    "distinct": (lambda: User.objects.filter(groups__name__in="abcd").distinct(), USERS),
    "distinct, few": (lambda: User.objects.filter(groups__name__in="abcd").distinct()[:20], 20),
    "related": (
        lambda: (
            LogEntry.objects.filter(user__groups__name__in="abcd").select_related("user").distinct()
        ),
        USERS,
    ),
    "union": (lambda: User.objects.all().union(User.objects.all()), USERS),
    "intersection": (lambda: User.objects.all().intersection(User.objects.all()), USERS),
    "difference": (lambda: User.objects.all().difference(User.objects.all()), 0),
}


@pytest.mark.parametrize("how", TOLD_APART)
def test_a_row_is_the_same_row_whether_it_is_compared_or_not(
    half_compared: list[int], how: str
) -> None:
    query, expected = TOLD_APART[how]
    found = list(query())
    assert len({each.pk for each in found}) == len(found) == expected


def test_a_read_is_answered_where_no_thread_can_be_started_and_what_it_found_is_told_later(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [user] = add_users({"theme": "dark"})
    verified()
    force(100, SHADOW)
    part_blob(user, {"theme": "light"})

    def no_more(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_more)
        assert UserPreferences.objects.document(user) == {"theme": "light"}
        assert User.objects.get(pk=user).preferences == {"theme": "light"}
    assert not Mismatch.objects.exists()
    shadow.settle()
    assert Mismatch.objects.get().pk == user
