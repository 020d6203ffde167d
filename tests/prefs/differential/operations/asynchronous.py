"""Async code: the ORM's a-methods, iteration, tasks, and attributes read in a coroutine."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import ObjectDoesNotExist, SynchronousOnlyOperation
from django.db.models import Count

from tests.prefs.differential.operations import operation, raising
from tests.prefs.differential.world import BEFORE, World

DARK = {**BEFORE, "theme": "dark"}


def awaited(work: Callable[[World], Coroutine[Any, Any, Any]]) -> Callable[[World], Any]:
    """An operation that runs this coroutine to its end."""

    def run(w: World) -> Any:
        return async_to_sync(work)(w)

    run.__name__ = work.__name__
    run.__code__ = run.__code__.replace(co_filename=work.__code__.co_filename)
    return run


@operation
@awaited
async def async_get_and_read(w: World) -> Any:
    key = await sync_to_async(w.add)()
    return (await w.user.objects.aget(pk=key)).preferences


@operation
@awaited
async def async_change_and_save(w: World) -> Any:
    user = await sync_to_async(w.load)()
    user.preferences["theme"] = "dark"
    await user.asave()
    return user


@operation
@awaited
async def async_save_of_the_document(w: World) -> Any:
    user = await sync_to_async(w.load)()
    user.preferences = DARK
    await user.asave(update_fields=["preferences"])
    await user.arefresh_from_db(fields=["preferences"])
    return user


@operation
@awaited
async def async_refresh(w: World) -> Any:
    user = await sync_to_async(w.load)()
    user.preferences = {"lost": 1}
    await user.arefresh_from_db()
    return user.preferences


@operation
@awaited
async def async_create_and_delete(w: World) -> Any:
    user = await w.user.objects.acreate(username="ada", preferences=DARK)
    other = await w.user.objects.acreate(username="bob", preferences={"x": 1})
    return await user.adelete(), other, user.preferences


@operation
@awaited
async def async_iterate(w: World) -> Any:
    await sync_to_async(w.add_many)({"n": 1}, {"n": 2}, {"n": 3})
    users = w.user.objects.order_by("pk")
    first = [user.preferences async for user in users]
    return first, [user.preferences async for user in users.aiterator(chunk_size=2)]


@operation
@awaited
async def async_values_and_counts(w: World) -> Any:
    await sync_to_async(w.add_many)({"n": 1}, {"n": 2})
    users = w.user.objects.filter(preferences__n__gte=1)
    return (
        [row async for row in users.order_by("pk").values("preferences", "preferences__n")],
        await users.acount(),
        await users.aexists(),
        await users.aaggregate(n=Count("pk")),
    )


@operation
@awaited
async def async_first_last_in_bulk(w: World) -> Any:
    keys = await sync_to_async(w.add_many)({"n": 1}, {"n": 2})
    users = w.user.objects.order_by("pk")
    return await users.afirst(), await users.alast(), await w.user.objects.ain_bulk(keys)


@operation
@awaited
async def async_update_and_bulk(w: World) -> Any:
    await sync_to_async(w.add_many)({"n": 1}, {"n": 2})
    users = [user async for user in w.user.objects.order_by("pk")]
    users[0].preferences["m"] = 1
    return (
        await w.user.objects.abulk_update(users, ["preferences"]),
        await w.user.objects.filter(preferences__n=2).aupdate(preferences=DARK),
        await w.user.objects.abulk_create([w.user(username="a", preferences={"x": 1})]),
    )


@operation
@awaited
async def async_get_or_create(w: World) -> Any:
    users = w.user.objects
    return (
        await users.aget_or_create(username="a", defaults={"preferences": {"x": 1}}),
        await users.aupdate_or_create(username="a", defaults={"preferences": {"x": 2}}),
    )


@operation
@awaited
async def async_select_related(w: World) -> Any:
    await sync_to_async(lambda: w.note.objects.create(user_id=w.add()))()
    note = await w.note.objects.select_related("user").aget()
    return note.user.preferences


@operation
@awaited
async def async_related_managers(w: World) -> Any:
    team = await w.team.objects.acreate(name="t")
    await team.members.acreate(username="ada", preferences=DARK)
    await team.members.aadd(await sync_to_async(w.add)())
    return [user.preferences async for user in team.members.order_by("pk")]


@raising(SynchronousOnlyOperation)
@awaited
async def async_read_of_what_is_deferred(w: World) -> Any:
    user = await w.user.objects.defer("preferences").aget(pk=await sync_to_async(w.add)())
    return user.preferences


@raising(SynchronousOnlyOperation)
@awaited
async def async_save_without_await(w: World) -> Any:
    user = await sync_to_async(w.load)()
    user.preferences["theme"] = "dark"
    user.save()


@raising(ObjectDoesNotExist)
@awaited
async def async_get_of_nobody(w: World) -> Any:
    await w.user.objects.aget(preferences__theme="dark")
