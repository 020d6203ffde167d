"""A middleware that lets our switches be turned on any page, by users who have our permission."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

from prefs.engine.permission import asking_for

Answer = Callable[[HttpRequest], Any]


@sync_and_async_middleware
def remember_user(
    get_response: Answer,
) -> Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]:
    """Remember who asks for the time of a request. Goes after that of authentication.

    The user is looked up only where a switch of ours is turned.
    """

    def user_of(request: HttpRequest) -> Callable[[], Any]:
        return lambda: request.user

    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponse:
            with asking_for(user_of(request)):
                answer: HttpResponse = await get_response(request)
                return answer

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponse:
        with asking_for(user_of(request)):
            answer: HttpResponse = get_response(request)
            return answer

    return synchronous
