"""The field on models that are not the users: copies, children, libraries that make models."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from dirtyfields import DirtyFieldsMixin
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models
from model_utils import FieldTracker
from simple_history.models import HistoricalRecords

from prefs.fields import PreferencesField
from prefs.models import UserPreferences
from prefs.users import HasPreferences
from project.accounts.models import User
from tests.prefs.fields.models import made
from tests.prefs.fields.people import BEFORE, add, exactly, statements, stored
from tests.support.stores import Place

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("forgotten")]
FIELD = User._meta.get_field("preferences")


def test_a_history_that_copies_the_field_has_a_column_of_its_own(place: Place) -> None:
    """Case A1: saving row 1 of it replaced the document of user 1."""
    user = add(place)
    history = made(
        models.Model, preferences=copy.copy(FIELD), number=models.AutoField(primary_key=True)
    )
    history(number=user.pk, preferences={"x": 1}).save()
    assert history.objects.get().preferences == {"x": 1}
    assert history.objects.filter(preferences__x=1).update(preferences={"x": 2}) == 1
    assert history.objects.get().preferences == {"x": 2}
    assert stored(place, user) == exactly(BEFORE)


def test_simple_history_keeps_documents_of_its_own(place: Place) -> None:
    """Case A1."""
    user = add(place)
    fields = HistoricalRecords().copy_fields(User)
    history = made(
        models.Model,
        preferences=fields["preferences"],
        number=models.AutoField(primary_key=True),
    )
    assert type(history._meta.get_field("preferences")) is models.JSONField
    history.objects.create(number=user.pk, preferences={"old": True})
    assert history.objects.get().preferences == {"old": True}
    assert stored(place, user) == exactly(BEFORE)


def child_with_a_key_of_its_own() -> Any:
    return made(
        User,
        code=models.AutoField(primary_key=True),
        up=models.OneToOneField(User, models.CASCADE, parent_link=True),
    )


def test_a_child_with_a_key_of_its_own_has_its_parents_document(place: Place) -> None:
    """Case A2: row n of it overwrote user n."""
    user, child = add(place), child_with_a_key_of_its_own()
    one = child(username="child", preferences={"theme": "dark"})
    one.save()
    assert one.pk != one.up_id
    again = child.objects.get(pk=one.pk)
    assert again.preferences == {"theme": "dark"}
    again.preferences["x"] = 1
    again.save()
    again.preferences["x"] = 2
    again.save(update_fields=["preferences"])
    assert stored(place, one.up_id) == exactly({"theme": "dark", "x": 2})
    again.preferences = {"bulk": True}
    child.objects.bulk_update([again], ["preferences"])
    assert stored(place, one.up_id) == exactly({"bulk": True})
    assert child.objects.filter(preferences__bulk=True).count() == 1
    assert child.objects.filter(pk=one.pk).update(preferences={"u": 1}, first_name="Ada") == 1
    assert stored(place, one.up_id) == exactly({"u": 1})
    again.refresh_from_db()
    assert (again.preferences, again.first_name) == ({"u": 1}, "Ada")
    assert stored(place, user) == exactly(BEFORE)


def test_another_child_of_an_abstract_base_has_a_column_of_its_own(place: Place) -> None:
    """Case A2."""

    class Base(HasPreferences):
        preferences = PreferencesField(default=dict, null=True)

        class Meta:
            abstract = True
            app_label = "accounts"

    user, sibling = add(place), made(Base)
    other = sibling(pk=user.pk, preferences={"s": 1})
    other.save()
    other.preferences["t"] = 2
    other.save()
    sibling.objects.bulk_create([sibling(pk=user.pk + 1, preferences={"b": 1})])
    assert sibling.objects.get(pk=user.pk).preferences == {"s": 1, "t": 2}
    assert sibling.objects.update(preferences={}) == 2
    assert stored(place, user) == exactly(BEFORE)


def test_dirtyfields_sees_what_was_changed_in_place(place: Place) -> None:
    """Case A6: nothing was dirty, and nothing was stored."""
    model = made(DirtyFieldsMixin, User, proxy=True)
    user = model.objects.get(pk=add(place).pk)
    assert user.get_dirty_fields() == {}
    user.preferences["theme"] = "dark"
    assert list(user.get_dirty_fields()) == ["preferences"]
    user.save_dirty_fields()
    assert user.get_dirty_fields() == {}
    assert stored(place, user.pk) == exactly({**BEFORE, "theme": "dark"})


def test_a_field_tracker_sees_the_value_that_was_loaded(place: Place) -> None:
    """Case A10: every user looked changed."""
    model = made(User, proxy=True, tracker=FieldTracker(fields=["preferences"]))
    user = model.objects.get(pk=add(place).pk)
    assert user.tracker.previous("preferences") == BEFORE
    assert not user.tracker.has_changed("preferences")
    user.preferences["theme"] = "dark"
    assert user.tracker.has_changed("preferences")
    user.save()
    assert not user.tracker.has_changed("preferences")


def test_init_sees_the_document_and_what_it_changes_is_saved(place: Place) -> None:
    """Case A10: `deepcopy(self.preferences)` in `__init__` was `{}`."""
    seen: list[Any] = []

    def begin(self: Any, *args: Any, **options: Any) -> None:
        super(model, self).__init__(*args, **options)
        seen.append(copy.deepcopy(self.preferences))
        self.preferences.setdefault("new", 1)

    model = made(User, proxy=True, __init__=begin)
    user = model.objects.get(pk=add(place).pk)
    model(username="x")
    model(username="y", preferences={"a": 1})
    assert seen == [BEFORE, {}, {"a": 1}]
    user.save()
    assert stored(place, user.pk) == exactly({**BEFORE, "new": 1})


def test_users_that_belong_to_something_bring_their_documents(place: Place) -> None:
    user = add(place)
    kind = ContentType.objects.get_for_model(User)
    LogEntry.objects.create(user=user, content_type=kind, object_repr="", action_flag=1)
    entry = LogEntry.objects.select_related("user").only("user__username").get()
    assert "preferences" not in vars(entry.user)
    assert entry.user.preferences == BEFORE
    for entries in (
        LogEntry.objects.prefetch_related("user"),
        LogEntry.objects.select_related("user"),
        LogEntry.objects.select_related("user").select_for_update(),
    ):
        entry = entries.get()
        assert statements(lambda found=entry.user: found.preferences) == []  # type: ignore[misc]
        assert entry.user.preferences == BEFORE
    UserPreferences.objects.merge(user.pk, {"theme": "dark"})
    entry.user.first_name = "Ada"
    entry.user.save()
    assert stored(place, user) == exactly({**BEFORE, "theme": "dark"})
