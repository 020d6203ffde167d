"""The managers that every model has, and those of a site that know nothing of preferences."""

from __future__ import annotations

from typing import Any

from django.db import connection, models, router

from tests.prefs.differential.operations import operation
from tests.prefs.differential.world import BEFORE, World
from tests.support.scratch import aliased

DARK = {**BEFORE, "theme": "dark"}


@operation
def the_base_manager_creates(w: World) -> Any:
    made = [w.user(username=name, preferences={"n": name}) for name in "ab"]
    w.user._base_manager.bulk_create(made)
    return w.user._base_manager.create(username="c", preferences=DARK), w.user._base_manager.get(
        username="a"
    )


@operation
def the_base_manager_updates(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 2})
    return w.user._base_manager.filter(preferences__n=1).update(preferences=DARK)


@operation
def the_base_manager_bulk_updates(w: World) -> Any:
    user = w.load()
    user.preferences["theme"] = "dark"
    return w.user._base_manager.bulk_update([user], ["preferences"])


@operation
def the_default_manager_of_a_class_without_one(w: World) -> Any:
    w.add()
    return type(w.dirty._default_manager).__mro__[-3:], w.child._default_manager.count()


@operation
def the_managers_are_named(w: World) -> Any:
    options = w.user._meta
    return [
        [manager.name for manager in options.managers],
        options.default_manager.name,
        options.base_manager_name,
        isinstance(w.user.objects, models.Manager),
        w.user.objects.use_in_migrations,
        w.user.objects.model is w.user,
    ]


@operation
def the_default_manager_deconstructs(w: World) -> Any:
    as_manager, path, _, args, kwargs = w.user.objects.deconstruct()
    return as_manager, path, args, kwargs


@operation
def a_manager_bound_to_an_alias(w: World) -> Any:
    user = w.user.objects.db_manager("default").create(username="ada", preferences=DARK)
    found = w.user.objects.using("default").get(pk=user.pk)
    found.preferences["x"] = 1
    found.save(using="default")
    return found, router.db_for_write(w.user, instance=found), w.user.objects.using(None).count()


@operation
def a_manager_made_on_the_spot(w: World) -> Any:
    w.add()
    manager = w.user.objects.from_queryset if hasattr(w.user.objects, "from_queryset") else None
    made = (manager or type(w.user.objects).from_queryset)(models.QuerySet)()
    made.model = w.user
    return made.get(), made.filter(preferences__theme="light").count()


@operation
def a_plain_manager_reads(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 2})
    plain: Any = models.Manager()
    plain.model = w.user
    return (
        list(plain.filter(preferences__n=2)),
        plain.count(),
        list(plain.order_by("pk").values("preferences")),
    )


@operation
def a_plain_manager_creates(w: World) -> Any:
    plain: Any = models.Manager()
    plain.model = w.user
    made = plain.create(username="ada", preferences=DARK)
    return made, plain.create(username="bob")


@operation
def a_plain_queryset_creates_in_bulk(w: World) -> Any:
    users: Any = models.QuerySet(w.user)
    users.bulk_create([w.user(username="ada", preferences=DARK), w.user(username="bob")])


@operation
def a_plain_queryset_updates(w: World) -> Any:
    w.add()
    users: Any = models.QuerySet(w.user)
    return users.update(preferences=DARK)


@operation
def a_plain_queryset_updates_another_field(w: World) -> Any:
    w.add()
    users: Any = models.QuerySet(w.user)
    return users.filter(preferences__theme="light").update(first_name="Ada")


@operation
def a_plain_queryset_bulk_updates(w: World) -> Any:
    user = w.load()
    user.preferences = DARK
    users: Any = models.QuerySet(w.user)
    return users.bulk_update([user], ["preferences"])


@operation
def a_plain_queryset_deletes(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 2})
    users: Any = models.QuerySet(w.user)
    return users.filter(preferences__n=1).delete()


@operation
def load_here_and_save_to_another_alias(w: World) -> Any:
    user = w.load()
    user.first_name, user.preferences["more"] = "Ada", 1
    with aliased(connection.settings_dict["NAME"]) as alias:
        user.save(using=alias)
        seen = user._state.db == alias, w.user.objects.using(alias).get(pk=user.pk)
        w.user.objects.using(alias).filter(preferences__more=1).update(preferences={"x": 1})
        made = w.user.objects.db_manager(alias).create(username="new", preferences=DARK)
    return seen, made
