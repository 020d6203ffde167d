"""Reading user.preferences: the document by route, which comes with its row."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db.models import Prefetch

from prefs.codec import UndecodableDocument, UnprintableDocument
from prefs.models import UserPreferences
from prefs.routing import READ_TABLES, MissingSwitch
from project.accounts.models import User
from tests.prefs.fields.people import BEFORE, ODD, add, add_many, exactly, statements
from tests.support import stores
from tests.support.stores import Place
from tests.support.tampering import remove_switches

pytestmark = pytest.mark.django_db
MANY = 50


@pytest.mark.parametrize("document", [BEFORE, *ODD], ids=str)
def test_the_document_of_the_route_is_read(place: Place, document: Any) -> None:
    assert exactly(add(place, document).preferences) == exactly(document)


def test_a_user_that_was_never_saved_has_the_default_and_may_change_it() -> None:
    one, other = User(), User()
    one.preferences["theme"] = "dark"
    assert (one.preferences, other.preferences) == ({"theme": "dark"}, {})


def test_the_constructor_takes_a_value() -> None:
    assert User(username="a", preferences=[1]).preferences == [1]


def log_entries(ids: Iterable[int]) -> None:
    """Something that belongs to each user."""
    kind = ContentType.objects.get_for_model(User)
    LogEntry.objects.bulk_create(
        LogEntry(user_id=key, content_type=kind, object_repr="", action_flag=1) for key in ids
    )


LISTS: dict[str, Callable[[], Iterable[User]]] = {
    "all": lambda: User.objects.order_by("pk"),
    "iterator": lambda: User.objects.order_by("pk").iterator(),
    "only preferences": lambda: User.objects.only("preferences").order_by("pk"),
    "raw": lambda: User.objects.raw("SELECT * FROM accounts_user ORDER BY id"),
    "select_related": lambda: [
        entry.user for entry in LogEntry.objects.select_related("user").order_by("user")
    ],
    "select_related, only": lambda: [
        entry.user
        for entry in LogEntry.objects.select_related("user")
        .only("user__preferences")
        .order_by("user")
    ],
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_users_comes_with_their_documents(place: Place, name: str) -> None:
    log_entries(add_many(place, MANY))
    read: list[Any] = []
    sent = statements(lambda: read.extend(user.preferences for user in LISTS[name]()))
    assert read == [{"n": number} for number in range(MANY)]
    # The column that raw SQL selects is not the document.
    assert len(sent) == (2 if name == "raw" else 1)


@pytest.mark.parametrize("chosen", ["only", "defer"])
def test_a_document_that_was_deferred_is_loaded_when_it_is_read(place: Place, chosen: str) -> None:
    names = ["username"] if chosen == "only" else ["preferences"]
    user = getattr(User.objects, chosen)(*names).get(pk=add(place).pk)
    assert user.get_deferred_fields() >= {"preferences"}
    assert len(statements(lambda: user.preferences)) == 1
    assert user.preferences == BEFORE


def test_users_that_were_prefetched_are_loaded_together(place: Place) -> None:
    ids = add_many(place, MANY)
    for number in range(5):
        Group.objects.create(name=str(number)).user_set.set(ids[number::5])
    read: list[Any] = []

    def work() -> None:
        for group in Group.objects.prefetch_related(Prefetch("user_set")):
            read.extend(user.preferences["n"] for user in group.user_set.all())

    assert len(statements(work)) == 2
    assert sorted(read) == list(range(MANY))


def test_reading_again_sends_nothing(place: Place) -> None:
    user = add(place)
    assert user.preferences is user.preferences
    assert statements(lambda: user.preferences) == []


def test_what_python_cannot_decode_fails_that_user_alone(place: Place) -> None:
    """Case A19: neither a list nor a login fails, and all but the document can be saved."""
    digits, plain = stores.insert_users(place, ['{"n": ' + "9" * 6000 + "}", '{"a": 1}'])
    users = {user.pk: user for user in User.objects.all()}
    assert users[plain].preferences == {"a": 1}
    user = users[digits]
    for _ in range(2):
        with pytest.raises(UndecodableDocument, match=f"user {digits} is stored whole"):
            _ = user.preferences
    log_entries([digits])
    assert LogEntry.objects.select_related("user").get().user == user
    user.refresh_from_db()
    user.first_name = "Ada"
    user.save()
    before = UserPreferences.objects.document_text(digits)
    User.objects.update_or_create(pk=digits, defaults={"last_name": "L."})
    again = User.objects.select_for_update().get(pk=digits)
    assert (again.first_name, again.last_name) == ("Ada", "L.")
    assert UserPreferences.objects.document_text(digits) == before
    with pytest.raises(UndecodableDocument):
        again.refresh_from_db(fields=["preferences"])
    # A copy of it would be another document.
    again.pk, again.username, again._state.adding = None, "copy", True
    with pytest.raises((ValueError, AttributeError), match=r"no primary key|an unsaved model"):
        again.save()


@pytest.mark.slow
def test_what_postgresql_cannot_print_fails_that_user_alone(place: Place) -> None:
    numbers = ",".join(["1e131071"] * 9000)
    huge, plain = stores.insert_users(place, [f"[{numbers}]", '{"a": 1}'])
    users = {user.pk: user for user in User.objects.all()}
    assert users[plain].preferences == {"a": 1}
    with pytest.raises(UnprintableDocument, match=f"user {huge} is stored whole"):
        _ = users[huge].preferences


def test_a_missing_switch_is_an_error_and_no_empty_document(place: Place) -> None:
    user = add(place)
    remove_switches(READ_TABLES)
    # A user can still be loaded, and log in.
    user = User.objects.get(pk=user.pk)
    with pytest.raises(MissingSwitch, match="status_prefs"):
        _ = user.preferences


def test_the_deferred_document_of_a_deleted_user_does_not_exist(place: Place) -> None:
    user = User.objects.defer("preferences").get(pk=add(place).pk)
    User.objects.filter(pk=user.pk).delete()
    with pytest.raises(User.DoesNotExist):
        _ = user.preferences


REFRESHES: dict[str, Callable[[User], None]] = {
    "all": lambda user: user.refresh_from_db(),
    "the field": lambda user: user.refresh_from_db(fields=["preferences"]),
    "among others": lambda user: user.refresh_from_db(fields=["username", "preferences"]),
    "from a queryset": lambda user: user.refresh_from_db(
        from_queryset=User.objects.select_for_update()
    ),
}


@pytest.mark.parametrize("name", REFRESHES)
def test_refreshing_forgets_the_value(place: Place, name: str) -> None:
    user = add(place)
    user.preferences["theme"] = "lost"
    UserPreferences.objects.merge(user.pk, {"theme": "dark"})
    REFRESHES[name](user)
    assert user.preferences == {**BEFORE, "theme": "dark"}
    user.save()
    assert UserPreferences.objects.document(user.pk) == {**BEFORE, "theme": "dark"}


def test_refreshing_other_fields_keeps_what_was_changed(place: Place) -> None:
    user = add(place)
    user.preferences["theme"] = "dark"
    user.refresh_from_db(fields=["username"])
    user.save()
    assert UserPreferences.objects.document(user.pk) == {**BEFORE, "theme": "dark"}


COPIES: dict[str, Callable[[User], User]] = {
    "pickle": lambda user: pickle.loads(pickle.dumps(user)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", COPIES)
def test_a_copy_keeps_a_changed_value_and_what_it_was_loaded_as(place: Place, name: str) -> None:
    user = add(place)
    user.preferences["theme"] = "dark"
    UserPreferences.objects.merge(user.pk, {"beta": 2})
    other = COPIES[name](user)
    assert statements(lambda: other.preferences) == []
    other.save()
    assert UserPreferences.objects.document(user.pk) == {**BEFORE, "theme": "dark", "beta": 2}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_a_user_whose_document_was_deferred_reads_it(place: Place, name: str) -> None:
    user = User.objects.defer("preferences").get(pk=add(place).pk)
    assert COPIES[name](user).preferences == BEFORE


def test_a_pickled_queryset_loads_its_documents(place: Place) -> None:
    add_many(place, 3)
    users = pickle.loads(pickle.dumps(User.objects.order_by("pk")))
    assert [user.preferences["n"] for user in users] == [0, 1, 2]


def test_the_stale_column_of_select_star_is_not_taken_for_the_document(place: Place) -> None:
    user = add(place)
    [raw] = User.objects.raw("SELECT * FROM accounts_user WHERE id = %s", [user.pk])
    assert raw.preferences == BEFORE
    raw.save()
    assert UserPreferences.objects.document(user.pk) == BEFORE
