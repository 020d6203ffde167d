"""Proxies, children with and without a key of their own, siblings of an abstract base, copies."""

from __future__ import annotations

from typing import Any

from tests.prefs.differential.operations import operation
from tests.prefs.differential.world import BEFORE, World

DARK = {**BEFORE, "theme": "dark"}


@operation
def a_proxy_loads_and_saves(w: World) -> Any:
    user = w.proxy.named.get(pk=w.add())
    user.preferences["theme"] = "dark"
    user.save()
    return user, list(w.proxy.named.dark())


@operation
def a_proxy_creates_and_deletes(w: World) -> Any:
    made = w.proxy.named.create(username="ada", preferences=DARK)
    other = w.proxy.named.create(username="bob")
    return made, made.delete(), other


@operation
def a_proxy_updates_and_bulk_writes(w: World) -> Any:
    users = w.proxy.named
    users.bulk_create([w.proxy(username=name, preferences={"n": name}) for name in "ab"])
    found = list(users.order_by("pk"))
    found[0].preferences = DARK
    return users.bulk_update(found, ["preferences"]), users.filter(username="b").update(
        preferences={}
    )


@operation
def a_proxy_is_saved_in_part(w: World) -> Any:
    user = w.proxy.named.get(pk=w.add())
    user.preferences, user.first_name = DARK, "not stored"
    user.save(update_fields=["preferences"])
    user.refresh_from_db()
    return user


@operation
def a_queryset_of_the_sites_own(w: World) -> Any:
    w.add_many({"n": 2}, {"n": 1})
    users = w.sorted.objects.by_name()
    changed = users.filter(preferences__n=1).update(preferences=DARK)
    return changed, list(users), users.values_list("preferences__theme", flat=True)


@operation
def a_class_of_another_is_made_of_a_user(w: World) -> Any:
    user = w.load()
    user.__class__ = w.proxy
    user.preferences["theme"] = "dark"
    user.save()
    return user


@operation
def a_child_is_created(w: World) -> Any:
    made = w.child.objects.create(username="c", grade=3, preferences=DARK)
    return made, w.user.objects.get(pk=made.pk)


@operation
def a_child_is_loaded_and_saved(w: World) -> Any:
    w.child.objects.create(username="c", preferences={"x": 1})
    child = w.child.objects.get()
    child.preferences["y"], child.grade = 2, 4
    child.save()
    child.refresh_from_db()
    return child


@operation
def a_child_is_saved_in_part(w: World) -> Any:
    w.child.objects.create(username="c", preferences={"x": 1})
    child = w.child.objects.get()
    child.preferences, child.grade = DARK, 4
    child.save(update_fields=["preferences"])
    child.save(update_fields=["grade"])
    return child


@operation
def a_child_is_made_of_a_user(w: World) -> Any:
    user = w.load()
    child = w.child(user_ptr_id=user.pk) if hasattr(w.child, "user_ptr_id") else None
    child = child or w.child(plainuser_ptr_id=user.pk)
    child.__dict__.update({k: v for k, v in vars(user).items() if not k.startswith("_")})
    child.save()
    return w.child.objects.get(pk=user.pk).preferences


@operation
def a_child_is_saved_raw_of_a_user(w: World) -> Any:
    user = w.load()
    child = w.child(pk=user.pk, grade=1)
    child.save_base(raw=True)
    return w.child.objects.get(pk=user.pk).preferences


@operation
def children_are_queried(w: World) -> Any:
    for number in range(3):
        w.child.objects.create(username=f"c{number}", grade=number, preferences={"n": number})
    children = w.child.objects.order_by("pk")
    return [
        [child.grade for child in children.filter(preferences__n__gte=1)],
        list(children.values_list("preferences", "grade")),
        list(children.values_list("preferences__n", flat=True)),
        [user.username for user in w.user.objects.filter(**{w.below + "__grade": 1})],
    ]


@operation
def children_are_updated(w: World) -> Any:
    for number in range(2):
        w.child.objects.create(username=f"c{number}", preferences={"n": number})
    children = w.child.objects.filter(preferences__n=1)
    return children.update(grade=5, preferences={"n": 1, "x": 1}), children.update(grade=6)


@operation
def children_are_bulk_updated(w: World) -> Any:
    child = w.child.objects.create(username="c", preferences={"x": 1})
    child.preferences, child.grade = DARK, 2
    return w.child.objects.bulk_update([child], ["preferences", "grade"])


@operation
def a_child_is_reached_from_its_user(w: World) -> Any:
    made = w.child.objects.create(username="c", preferences={"x": 1})
    user = w.user.objects.select_related(w.below).get(pk=made.pk)
    return getattr(user, w.below).preferences, user.preferences


@operation
def a_child_is_deleted(w: World) -> Any:
    made = w.child.objects.create(username="c", preferences={"x": 1})
    other = w.child.objects.create(username="d", preferences={"y": 1})
    return made.delete(), other.delete(keep_parents=True), made.preferences


@operation
def a_child_with_its_own_key(w: World) -> Any:
    w.add()
    made = w.keyed.objects.create(username="k", preferences=DARK)
    found = w.keyed.objects.get(pk=made.pk)
    found.preferences["x"] = 1
    found.save()
    found.preferences["y"] = 2
    found.save(update_fields=["preferences"])
    return made.pk, found


@operation
def children_with_their_own_key_are_updated(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 1})
    w.keyed.objects.create(username="k", preferences={"n": 2})
    return [
        w.keyed.objects.filter(preferences__n=2).update(preferences={"n": 3}, first_name="Ada"),
        list(w.keyed.objects.values_list("preferences__n", "pk")),
        w.keyed.objects.in_bulk(),
    ]


@operation
def children_with_their_own_key_are_bulk_updated(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 1})
    made = w.keyed.objects.create(username="k", preferences={"n": 1})
    made.preferences = {"n": 2}
    return w.keyed.objects.bulk_update([made], ["preferences"])


@operation
def a_child_with_its_own_key_is_deferred(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 1})
    made = w.keyed.objects.create(username="k", preferences={"n": 2})
    found = w.keyed.objects.defer("preferences").get()
    made.refresh_from_db(fields=["preferences"])
    return found.preferences, made.preferences, made.delete()


@operation
def a_sibling_of_an_abstract_base(w: World) -> Any:
    key = w.add()
    made = w.sibling.objects.create(pk=key, preferences={"s": 1})
    made.preferences["t"] = 2
    made.save()
    made.save(update_fields=["preferences"])
    w.sibling.objects.filter(preferences__s=1).update(preferences={"s": 2})
    return w.sibling.objects.get(pk=key), w.sibling(pk=5).preferences


@operation
def siblings_in_bulk(w: World) -> Any:
    key = w.add()
    w.sibling.objects.bulk_create([w.sibling(pk=key, preferences={"s": 1}), w.sibling(pk=5)])
    found = list(w.sibling.objects.order_by("pk"))
    found[0].preferences = {"z": 1}
    return w.sibling.objects.bulk_update(found, ["preferences"]), list(w.sibling.objects.values())


@operation
def a_copy_of_the_field_on_another_model(w: World) -> Any:
    key = w.add()
    row = w.archive(key=key, preferences={"x": 1})
    row.save()
    row.preferences["y"] = 2
    row.save()
    w.archive.objects.filter(preferences__y=2).update(preferences={"z": 3})
    return w.archive.objects.get(), w.archive(key=1).preferences


@operation
def a_copy_of_the_field_filled_from_users(w: World) -> Any:
    w.add_many({"n": 1}, None)
    users = w.user.objects.order_by("pk")
    w.archive.objects.bulk_create(
        w.archive(key=user.pk, preferences=user.preferences) for user in users
    )
    same = w.archive.objects.filter(key__in=users.filter(preferences__n=1).values("pk"))
    return same.count(), list(w.archive.objects.order_by("pk").values())
