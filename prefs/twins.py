"""Twins of methods for async code, as Django's own: named with an `a` before the method's name.

They do what the method does in the thread that has Django's connections for the task.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from itertools import islice
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

_P = ParamSpec("_P")
_T = TypeVar("_T")
_AT_ONCE = 10_000


def twin(method: Callable[_P, _T]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """The twin of a method: it takes, raises and locks the same, and is awaited."""

    @wraps(method)
    async def awaited(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await sync_to_async(method)(*args, **kwargs)

    return awaited


def streaming_twin(
    method: Callable[_P, Iterator[_T]],
) -> Callable[_P, AsyncIterator[_T]]:
    """The twin of a method that streams: an async iterator, which asks for many at a time."""

    @wraps(method)
    async def streamed(*args: _P.args, **kwargs: _P.kwargs) -> AsyncIterator[_T]:
        found = await sync_to_async(method)(*args, **kwargs)
        while page := await sync_to_async(_page)(found):
            for each in page:
                yield each

    return streamed


def _page(found: Iterator[_T]) -> list[_T]:
    return list(islice(found, _AT_ONCE))
