"""Users by way of other models: joins, prefetches, cascades, generic keys."""

from __future__ import annotations

from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db.models import Prefetch, prefetch_related_objects

from tests.prefs.differential.operations import operation
from tests.prefs.differential.world import BEFORE, World

DARK = {**BEFORE, "theme": "dark"}


def noted(w: World, *documents: Any) -> list[int]:
    """A user with a note for each document."""
    keys = w.add_many(*documents)
    w.note.objects.bulk_create(w.note(user_id=key, text="a") for key in keys)
    return keys


@operation
def follow_a_foreign_key(w: World) -> Any:
    noted(w, BEFORE)
    return w.note.objects.get().user


@operation
def select_related_users(w: World) -> Any:
    noted(w, BEFORE, None, {"n": 1})
    w.note.objects.create(text="nobody's")
    return [note.user for note in w.note.objects.select_related("user").order_by("pk")]


@operation
def select_related_change_and_save(w: World) -> Any:
    noted(w, BEFORE)
    user = w.note.objects.select_related("user").get().user
    user.preferences["theme"] = "dark"
    user.save()
    return user


@operation
def select_related_with_only_and_defer(w: World) -> Any:
    noted(w, BEFORE)
    notes = w.note.objects.select_related("user")
    few, more = notes.only("user__username").get(), notes.defer("user__preferences").get()
    loaded = "preferences" in vars(few.user), "preferences" in vars(more.user)
    return loaded, few.user.preferences, more.user.preferences


@operation
def select_related_back_from_one_to_one(w: World) -> Any:
    w.profile.objects.create(user_id=w.add(), motto="m")
    user = w.user.objects.select_related("profile").get()
    return user, user.profile.user is user


@operation
def select_related_twice_to_users(w: World) -> Any:
    lead, member = w.add_many({"n": 1}, {"n": 2})
    w.team.objects.create(name="t", lead_id=lead).members.add(member)
    teams = w.team.objects.select_related("lead").prefetch_related("members")
    return [(team.lead, list(team.members.all())) for team in teams]


@operation
def prefetch_users(w: World) -> Any:
    noted(w, BEFORE, {"n": 1})
    return [note.user for note in w.note.objects.prefetch_related("user").order_by("pk")]


@operation
def prefetch_notes_of_users(w: World) -> Any:
    noted(w, BEFORE, {"n": 1})
    users = w.user.objects.prefetch_related("notes").order_by("pk")
    return [(user, list(user.notes.all())) for user in users]


@operation
def prefetch_with_a_queryset(w: World) -> Any:
    noted(w, BEFORE, {"n": 1})
    users = w.user.objects.filter(preferences__has_key="theme").defer("email")
    notes = w.note.objects.prefetch_related(Prefetch("user", users)).order_by("pk")
    return [note.__dict__["_state"].fields_cache.get("user") for note in notes]


@operation
def prefetch_to_an_attribute(w: World) -> Any:
    noted(w, BEFORE)
    dark = w.note.objects.filter(user__preferences__theme="light")
    users = w.user.objects.prefetch_related(Prefetch("notes", dark, to_attr="light"))
    return [user.light for user in users]


@operation
def prefetch_for_loaded_objects(w: World) -> Any:
    noted(w, BEFORE)
    notes = list(w.note.objects.all())
    prefetch_related_objects(notes, "user__profile")
    return notes[0].user


@operation
def related_managers(w: World) -> Any:
    team = w.team.objects.create(name="t")
    made = team.members.create(username="ada", preferences={"x": 1})
    team.members.add(w.add(DARK))
    found = team.members.filter(preferences__theme="dark")
    return made, list(found), found.update(preferences={"u": 1}), team.members.count()


@operation
def related_managers_get_or_create(w: World) -> Any:
    team = w.team.objects.create(name="t")
    first = team.members.get_or_create(username="a", defaults={"preferences": {"x": 1}})
    second = team.members.update_or_create(username="a", defaults={"preferences": {"x": 2}})
    return first, second


@operation
def related_set_remove_clear(w: World) -> Any:
    keys = w.add_many({"n": 1}, {"n": 2}, {"n": 3})
    team = w.team.objects.create(name="t")
    team.members.set(keys[:2])
    team.members.set(w.user.objects.filter(preferences__n__gte=2))
    left = [user.preferences for user in team.members.order_by("pk")]
    team.members.remove(keys[1])
    return left, list(team.members.all()), team.members.clear()


@operation
def groups_of_a_user(w: World) -> Any:
    user = w.load()
    made = user.groups.create(name="differential")
    named = list(user.groups.values_list("name", flat=True))
    made.delete()
    return named, w.user.objects.filter(groups__name="differential").count()


@operation
def assign_a_user_to_a_foreign_key(w: World) -> Any:
    user = w.user(username="ada", preferences=DARK)
    note = w.note(user=user)
    user.save()
    note.save()
    return w.note.objects.get().user


@operation
def cascade_from_a_user(w: World) -> Any:
    key = noted(w, BEFORE)[0]
    team = w.team.objects.create(name="t", lead_id=key)
    gone = w.user.objects.get(pk=key).delete()
    team.refresh_from_db()
    return gone, w.note.objects.count(), team.lead_id


@operation
def delete_users_by_a_relation(w: World) -> Any:
    noted(w, BEFORE, {"n": 1})
    return w.user.objects.filter(notes__user__preferences__n=1).delete()


@operation
def generic_foreign_keys(w: World) -> Any:
    keys = w.add_many({"n": 1}, {"n": 2})
    kind = ContentType.objects.get_for_model(w.user)
    for key in keys:
        w.tag.objects.create(word="w", kind=kind, key=key)
    tags = w.tag.objects.order_by("pk")
    return [tag.target for tag in tags], [tag.target for tag in tags.prefetch_related("target")]


@operation
def generic_relation_of_a_child(w: World) -> Any:
    child = w.child.objects.create(username="c", preferences={"x": 1})
    tag = child.tags.create(word="w")
    return w.child.objects.filter(tags__word="w").get(), tag.target, child.delete()
