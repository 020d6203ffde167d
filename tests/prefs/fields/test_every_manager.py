"""Whatever manager a model has, and whatever queryset: it stores by route, or is refused loudly."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, UserManager
from django.db import DatabaseError, models, transaction
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.state import ModelState, ProjectState

from prefs.querysets import PreferencesQuerySet
from project.accounts.models import User
from tests.prefs.fields.models import made
from tests.prefs.fields.people import BEFORE, add, exactly, stored
from tests.support.stores import Place

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("forgotten")]
COLUMNLESS = (Place.DROPPED,)


class Named(models.QuerySet[Any]):
    """A queryset of a site's, which knows nothing of preferences."""

    def ada(self) -> Any:
        return self.filter(first_name="Ada")


@pytest.mark.parametrize("name", ["objects", "plain", "named", "built", "_base_manager"])
def test_every_manager_of_the_model_stores_documents(place: Place, name: str) -> None:
    """Case A3: `_base_manager` stored `{}`, a second manager too, and refused to update."""
    model = made(
        User,
        proxy=True,
        plain=models.Manager(),
        named=Named.as_manager(),
        built=models.Manager.from_queryset(Named)(),
    )
    manager = getattr(model, name)
    [user] = manager.bulk_create([model(username="bulk", preferences={"a": 1})])
    assert stored(place, user.pk) == exactly({"a": 1})
    assert manager.filter(pk=user.pk).update(preferences={"a": 2}) == 1
    assert stored(place, user.pk) == exactly({"a": 2})
    user = manager.create(username="one", preferences={"b": 1})
    assert stored(place, user.pk) == exactly({"b": 1})
    user.preferences = {"b": 2}
    manager.bulk_update([user], ["preferences"])
    assert stored(place, user.pk) == exactly({"b": 2})


def test_a_related_manager_stores_documents(place: Place) -> None:
    group, user = Group.objects.create(name="a"), add(place)
    group.user_set.add(user)
    assert group.user_set.update(preferences={"theme": "dark"}) == 1
    assert stored(place, user) == exactly({"theme": "dark"})
    created = group.user_set.create(username="new", preferences={"a": 1})
    assert stored(place, created) == exactly({"a": 1})


def test_an_unknown_queryset_inserts_where_there_is_a_column(place: Place) -> None:
    """Case A3."""
    users = [User(username=name, preferences={"q": 1}) for name in ("one", "two")]
    unknown: Any = models.QuerySet(User)
    if place in COLUMNLESS:
        with pytest.raises(DatabaseError, match="preferences"), transaction.atomic():
            unknown.bulk_create(users)
        return
    unknown.bulk_create(users)
    assert [stored(place, user) for user in users] == [exactly({"q": 1})] * 2


def test_an_unknown_queryset_updates_where_the_column_is_written_or_is_refused(
    place: Place,
) -> None:
    """Case A3."""
    user = add(place)
    unknown: Any = models.QuerySet(User)
    if not place.route.writes_blob:
        with pytest.raises(DatabaseError, match="preferences"), transaction.atomic():
            unknown.update(preferences={"q": 1})
        assert stored(place, user) == exactly(BEFORE)
    else:
        unknown.update(preferences={"q": 1})
        assert stored(place, user) == exactly({"q": 1})


def test_managers_keep_their_order_names_and_methods() -> None:
    model = made(User, proxy=True, table=False, first=Named.as_manager(), second=models.Manager())
    names = [manager.name for manager in model._meta.managers]
    assert names == ["first", "second", "objects"]
    assert model._default_manager.name == "first"
    assert model.first.none().ada() is not None
    assert isinstance(model.objects.all(), PreferencesQuerySet)
    assert type(model.objects).__name__ == type(model.objects).__qualname__ == "UserManager"


def test_makemigrations_sees_the_managers_that_there_were() -> None:
    """The user model of the site has Django's own manager, which migrations know."""
    path = User.objects.deconstruct()[1]
    assert path == "django.contrib.auth.models.UserManager"
    before = ProjectState()
    before.add_model(ModelState.from_model(User))
    state = before.models["accounts", "user"]
    state.managers = [("objects", UserManager())]
    after = ProjectState()
    after.add_model(ModelState.from_model(User))
    assert state.managers == after.models["accounts", "user"].managers
    assert after.models["accounts", "user"].managers == state.managers
    detector: Any = MigrationAutodetector(before, after)
    assert detector._detect_changes() == {}
