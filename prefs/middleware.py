"""A middleware that lets our switches be turned on any page, by users who have our permission."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest
from django.utils.decorators import sync_and_async_middleware

from prefs.engine.permission import asking_for


@sync_and_async_middleware
def remember_user(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Remember who asks for the time of a request. Goes after that of authentication.

    The user is looked up only where a switch of ours is turned.
    """
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> Any:
            with asking_for(lambda: request.user):
                return await get_response(request)

        return asynchronous

    def synchronous(request: HttpRequest) -> Any:
        with asking_for(lambda: request.user):
            return get_response(request)

    return synchronous
