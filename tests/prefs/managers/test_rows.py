"""The ORM on the typed tables goes the manager's way, in every route."""

import datetime as dt
from typing import Any

import pytest

from prefs.codec import InvalidDocument
from prefs.models import NotificationPreferences, UserPreferences
from prefs.patches import NotALeaf
from prefs.rows import NotARow, RowsStay
from tests.support import stores
from tests.support.stores import Place, insert_users

pytestmark = pytest.mark.django_db

DOCUMENT = '{"theme": "dark", "beta": 1, "notifications": {"email": {"marketing": true}}}'


def _document(user: int) -> Any:
    return UserPreferences.objects.document(user)


def test_a_new_row_is_merged_into_the_document(place: Place) -> None:
    [user] = insert_users(place, [DOCUMENT])
    UserPreferences(user_id=user, theme="light", items_per_page=20).save()
    NotificationPreferences.objects.create(user_id=user, quiet_hours_start=dt.time(22, 30))
    assert _document(user) == {
        "theme": "light",
        "beta": 1,
        "items_per_page": 20,
        "notifications": {"email": {"marketing": True}, "quiet_hours": {"start": "22:30"}},
    }


def test_a_loaded_row_saves_what_changed_and_nothing_else(table_place: Place) -> None:
    [user] = insert_users(table_place, [DOCUMENT])
    stale = UserPreferences.objects.get(pk=user)
    UserPreferences.objects.merge(user, {"language": "fr", "theme": "system"})
    stale.compact_mode = True
    stale.save()
    document = _document(user)
    assert (document["language"], document["theme"]) == ("fr", "system")
    assert document["compact_mode"] is True


def test_a_leaf_set_to_none_is_unset(table_place: Place) -> None:
    [user] = insert_users(table_place, [DOCUMENT])
    row = NotificationPreferences.objects.get(pk=user)
    row.email_marketing = None
    row.save()
    assert _document(user)["notifications"] == {"email": {}}


def test_update_fields_saves_those_alone(table_place: Place) -> None:
    [user] = insert_users(table_place, [DOCUMENT])
    row = UserPreferences.objects.get(pk=user)
    row.theme, row.language = "light", "fr"
    row.save(update_fields=["language"])
    assert (_document(user)["theme"], _document(user)["language"]) == ("dark", "fr")


def test_loading_a_deferred_field_does_not_forget_another_change(table_place: Place) -> None:
    [user] = insert_users(table_place, [DOCUMENT])
    row = UserPreferences.objects.only("theme").get(pk=user)
    row.theme = "light"
    assert row.language is None
    row.save(update_fields=["theme"])
    assert _document(user)["theme"] == "light"


def test_update_merges_into_every_row(table_place: Place) -> None:
    users = insert_users(table_place, [DOCUMENT, DOCUMENT])
    assert UserPreferences.objects.filter(pk__in=users).update(theme="light") == 2
    assert [_document(user)["theme"] for user in users] == ["light", "light"]
    assert [_document(user)["beta"] for user in users] == [1, 1]


def test_bulk_create_and_bulk_update_merge(table_place: Place) -> None:
    users = insert_users(table_place, [DOCUMENT, "{}"])
    rows = [UserPreferences(user_id=user, date_format="iso") for user in reversed(users)]
    assert UserPreferences.objects.bulk_create(rows) == rows
    loaded = list(UserPreferences.objects.filter(pk__in=users))
    for row in loaded:
        row.items_per_page = 7
    assert UserPreferences.objects.bulk_update(loaded, ["items_per_page"]) == 2
    assert [_document(user)["items_per_page"] for user in users] == [7, 7]
    assert [_document(user)["date_format"] for user in users] == ["iso", "iso"]


def test_a_value_out_of_its_domain_is_refused_by_name(table_place: Place) -> None:
    [user] = insert_users(table_place, [DOCUMENT])
    row = NotificationPreferences.objects.get(pk=user)
    row.quiet_hours_end = dt.time(7, 0, 30)
    with pytest.raises(InvalidDocument, match=r"quiet_hours\.end: \"07:00:30\""):
        row.save()
    assert _document(user)["notifications"] == {"email": {"marketing": True}}


def test_rows_are_not_deleted_by_themselves(table_place: Place) -> None:
    [user] = insert_users(table_place, [DOCUMENT])
    with pytest.raises(RowsStay):
        UserPreferences.objects.filter(pk=user).delete()
    with pytest.raises(RowsStay):
        NotificationPreferences.objects.get(pk=user).delete()


def test_what_is_no_leaf_cannot_be_set(table_place: Place) -> None:
    [user] = insert_users(table_place, [DOCUMENT])
    row = UserPreferences.objects.get(pk=user)
    row.residue = {"beta": 2}
    with pytest.raises(NotALeaf, match="residue"):
        row.save()
    with pytest.raises(NotALeaf, match="residue"):
        UserPreferences.objects.filter(pk=user).update(residue={"beta": 2})
    assert _document(user)["beta"] == 1


def test_update_writes_though_the_typed_row_says_so_already(place: Place) -> None:
    [user] = insert_users(place, [DOCUMENT])
    row = NotificationPreferences(user_id=user, email_marketing=False)
    row.save(update_fields=["email_marketing"])
    assert _document(user)["notifications"]["email"]["marketing"] is False
    if place.route.reads_tables:
        UserPreferences.objects.filter(pk=user).update(theme="dark")
        assert _document(user)["theme"] == "dark"


def test_saving_some_fields_keeps_the_changes_of_others_for_later(table_place: Place) -> None:
    [user] = insert_users(table_place, [DOCUMENT])
    row = UserPreferences.objects.get(pk=user)
    row.theme, row.language = "light", "fr"
    row.save(update_fields=["theme"])
    row.save()
    assert (_document(user)["theme"], _document(user)["language"]) == ("light", "fr")


def test_a_deferred_field_set_to_none_is_unset(table_place: Place) -> None:
    [user] = insert_users(table_place, [DOCUMENT])
    row = UserPreferences.objects.only("language").get(pk=user)
    row.theme = None
    row.save()
    assert "theme" not in _document(user)


def test_ways_that_take_the_row_for_the_document_are_refused(table_place: Place) -> None:
    [user] = insert_users(table_place, [DOCUMENT])
    rows = UserPreferences.objects
    with pytest.raises(NotARow, match="merge"):
        rows.get_or_create(user_id=user, defaults={"theme": "light"})
    with pytest.raises(NotARow, match="merge"):
        rows.update_or_create(user_id=user, defaults={"theme": "light"})
    with pytest.raises(NotARow, match="merge"):
        rows.select_for_update()
    assert _document(user)["theme"] == "dark"


def test_a_row_whose_residue_python_cannot_decode_is_loaded_and_saved(place: Place) -> None:
    huge = '{"n": ' + "1" * 5_000
    user = stores.insert_user(place, huge + "}")
    stores.fill_tables([user], [huge + "}"])
    row = UserPreferences.objects.get(pk=user)
    row.theme = "dark"
    row.save()
    assert stores.primary_text(place, user) == huge + ', "theme": "dark"}'
