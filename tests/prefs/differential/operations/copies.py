"""Copies, pickles and comparisons of instances and querysets."""

from __future__ import annotations

import copy
import pickle
from typing import Any

from django.core.cache.backends.locmem import LocMemCache

from tests.prefs.differential.operations import operation
from tests.prefs.differential.world import BEFORE, World


def pickled(value: Any) -> Any:
    """What comes out of a pickle, of which nothing may need code of ours."""
    data = pickle.dumps(value)
    assert b"prefs" not in data.replace(b"tests.prefs", b""), "the release before has no prefs"
    return pickle.loads(data)


@operation
def a_shallow_copy_shares_the_document(w: World) -> Any:
    user = w.load()
    other = copy.copy(user)
    other.preferences["theme"] = "dark"
    other.save()
    return user.preferences, other


@operation
def a_shallow_copy_of_which_one_assigns(w: World) -> Any:
    user = w.load()
    other = copy.copy(user)
    other.preferences = {"x": 1}
    user.save()
    other.save()
    return user.preferences


@operation
def a_deep_copy_has_its_own_document(w: World) -> Any:
    user = w.load()
    other = copy.deepcopy(user)
    other.preferences["theme"] = "dark"
    other.save()
    return user.preferences, other


@operation
def a_pickled_user_is_saved(w: World) -> Any:
    user = pickled(w.load())
    user.preferences["theme"] = "dark"
    user.save()
    return user


@operation
def a_pickled_user_with_changes(w: World) -> Any:
    user = w.load()
    user.preferences["theme"] = "dark"
    user = pickled(user)
    user.save()
    return user


@operation
def a_pickled_user_that_was_saved(w: World) -> Any:
    user = w.load()
    user.preferences["theme"] = "dark"
    user.save()
    return pickled(user)


@operation
def a_pickled_new_user(w: World) -> Any:
    user = pickled(w.user(username="ada", preferences={"x": 1}))
    user.save()
    return user


@operation
def a_pickled_deferred_user(w: World) -> Any:
    user = pickled(w.user.objects.defer("preferences").get(pk=w.add()))
    return user.get_deferred_fields(), user.preferences


@operation
def a_pickled_list_of_users(w: World) -> Any:
    w.add_many(BEFORE, None)
    return pickled(list(w.user.objects.order_by("pk")))


@operation
def a_pickled_queryset(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 2})
    users = w.user.objects.order_by("pk")
    len(users)
    return list(pickle.loads(pickle.dumps(users)))


@operation
def a_pickled_query(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 2})
    found = w.user.objects.all()
    found.query = pickle.loads(pickle.dumps(w.user.objects.filter(preferences__n=2).query))
    return list(found)


@operation
def a_user_in_a_cache(w: World) -> Any:
    cache = LocMemCache("differential", {})
    cache.set("user", w.load())
    user = cache.get("user")
    user.preferences["theme"] = "dark"
    user.save()
    cache.clear()
    return user


@operation
def a_pickled_user_saved_over_a_newer_one(w: World) -> Any:
    user = w.load({"a": 1})
    kept = pickled(user)
    user.delete()
    user.pk = kept.pk
    user.preferences = {"b": 2}
    user.save()
    kept.preferences = {"b": 2}
    kept.save()
    return kept


@operation
def state_of_an_instance(w: World) -> Any:
    user = w.load()
    public = sorted(name for name in vars(user) if not name.startswith("_"))
    return public, user._state.adding, user._state.db, vars(w.user()).keys() >= {"preferences"}


@operation
def a_queryset_evaluated_twice(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 2})
    users = w.user.objects.order_by("pk")
    first = users[0].preferences
    [one, _] = users
    one.preferences["n"] = 5
    return first, [user.preferences for user in users], [u.preferences for u in users.all()]
