"""Libraries as they come from the registry: simple-history, dirtyfields, model-utils' tracker."""

from __future__ import annotations

from typing import Any

from simple_history.utils import (
    bulk_create_with_history,
    bulk_update_with_history,
    update_change_reason,
)

from tests.prefs.differential.operations import operation
from tests.prefs.differential.world import BEFORE, World

DARK = {**BEFORE, "theme": "dark"}


def written(w: World) -> list[Any]:
    """The history, oldest first."""
    rows = w.history.objects.order_by("history_id")
    return [(row.history_type, row.username, row.preferences) for row in rows]


@operation
def history_of_a_created_user(w: World) -> Any:
    w.recorded.objects.create(username="ada", preferences={"x": 1})
    return written(w)


@operation
def history_of_a_saved_user(w: World) -> Any:
    user = w.recorded.objects.get(pk=w.add())
    user.preferences["theme"] = "dark"
    user.save()
    user.preferences = None
    user.save(update_fields=["preferences"])
    return written(w)


@operation
def history_of_a_deleted_user(w: World) -> Any:
    user = w.recorded.objects.get(pk=w.add())
    user.delete()
    return written(w)


@operation
def history_does_not_touch_users(w: World) -> Any:
    key = w.add()
    user = w.recorded.objects.get(pk=key)
    user.save()
    row = w.history.objects.get()
    row.preferences = {"changed": "in the history"}
    row.save()
    w.history.objects.filter(preferences__changed="in the history").update(preferences={"u": 1})
    return w.user.objects.get(pk=key), written(w)


@operation
def history_gives_an_instance_back(w: World) -> Any:
    user = w.recorded.objects.get(pk=w.add())
    user.save()
    user.preferences["theme"] = "dark"
    user.save()
    first = w.history.objects.order_by("history_id").first()
    first.instance.save()
    return user.history.count(), w.user.objects.get(pk=user.pk).preferences


@operation
def history_tells_what_changed(w: World) -> Any:
    user = w.recorded.objects.get(pk=w.add())
    user.save()
    user.preferences["theme"] = "dark"
    user.save()
    new, old = w.history.objects.order_by("-history_id")
    delta = new.diff_against(old)
    return [(change.field, change.old, change.new) for change in delta.changes]


@operation
def history_in_bulk(w: World) -> Any:
    made = [w.recorded(username=name, preferences={"n": name}) for name in "ab"]
    bulk_create_with_history(made, w.recorded)
    users = list(w.recorded.objects.order_by("pk"))
    users[0].preferences["m"] = 1
    bulk_update_with_history(users, w.recorded, ["preferences"])
    return written(w)


@operation
def history_with_a_reason(w: World) -> Any:
    user = w.recorded.objects.get(pk=w.add())
    user.preferences["theme"] = "dark"
    user.save()
    update_change_reason(user, "a reason")
    return w.history.objects.get().history_change_reason, written(w)


@operation
def history_is_queried_by_keys(w: World) -> Any:
    user = w.recorded.objects.get(pk=w.add())
    user.save()
    rows = w.history.objects.filter(preferences__theme="light")
    return rows.count(), list(rows.values_list("preferences__theme", flat=True))


@operation
def fields_of_the_history(w: World) -> Any:
    field = w.history._meta.get_field("preferences")
    return [f.name for f in w.history._meta.concrete_fields], field.column, field.null


# --- dirtyfields ----------------------------------------------------------------------------


@operation
def nothing_is_dirty_after_loading(w: World) -> Any:
    user = w.dirty.objects.get(pk=w.add())
    return user.is_dirty(), user.get_dirty_fields()


@operation
def a_change_in_place_is_dirty_and_saved(w: World) -> Any:
    user = w.dirty.objects.get(pk=w.add())
    user.preferences["theme"] = "dark"
    dirty = user.get_dirty_fields(verbose=True)
    user.save_dirty_fields()
    return dirty, user.get_dirty_fields()


@operation
def an_assignment_is_dirty_and_saved(w: World) -> Any:
    user = w.dirty.objects.get(pk=w.add())
    user.preferences, user.first_name = None, "Ada"
    dirty = user.get_dirty_fields()
    user.save_dirty_fields()
    return dirty, user.is_dirty()


@operation
def a_new_user_is_dirty(w: World) -> Any:
    user = w.dirty(username="ada", preferences={"x": 1})
    dirty = sorted(user.get_dirty_fields())
    user.save()
    return dirty, user.get_dirty_fields()


@operation
def a_deferred_document_is_not_dirty(w: World) -> Any:
    user = w.dirty.objects.defer("preferences").get(pk=w.add())
    dirty = user.get_dirty_fields()
    user.preferences = DARK
    return dirty, user.get_dirty_fields(), user.save()


@operation
def dirty_after_a_refresh(w: World) -> Any:
    user = w.dirty.objects.get(pk=w.add())
    user.preferences["lost"] = 1
    user.refresh_from_db()
    return user.get_dirty_fields(), user.preferences


# --- model-utils ----------------------------------------------------------------------------


@operation
def a_tracker_knows_what_was_loaded(w: World) -> Any:
    user = w.tracked.objects.get(pk=w.add())
    return user.tracker.previous("preferences"), user.tracker.changed()


@operation
def a_tracker_sees_a_change_in_place(w: World) -> Any:
    user = w.tracked.objects.get(pk=w.add())
    user.preferences["theme"] = "dark"
    before = user.tracker.has_changed("preferences"), user.tracker.changed()
    user.save()
    return before, user.tracker.has_changed("preferences")


@operation
def a_tracker_sees_an_assignment(w: World) -> Any:
    user = w.tracked.objects.get(pk=w.add())
    user.preferences, user.first_name = DARK, "Ada"
    before = user.tracker.changed()
    user.save(update_fields=["preferences"])
    return before, user.tracker.changed()


@operation
def a_tracker_of_a_new_user(w: World) -> Any:
    user = w.tracked(username="ada")
    before = user.tracker.changed()
    user.save()
    return before, user.tracker.changed(), user.preferences


@operation
def a_tracker_of_a_deferred_document(w: World) -> Any:
    user = w.tracked.objects.defer("preferences").get(pk=w.add())
    before = user.tracker.changed()
    user.preferences = DARK
    return before, user.tracker.previous("preferences"), user.tracker.changed(), user.save()


@operation
def a_tracker_after_a_refresh(w: World) -> Any:
    user = w.tracked.objects.get(pk=w.add())
    user.preferences["lost"] = 1
    user.refresh_from_db()
    return user.tracker.changed(), user.preferences
