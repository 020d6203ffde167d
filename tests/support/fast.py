"""The tier for the inner loop, `pytest --fast`: one case of every test that starts no process.

Which test that is follows from its code and its name; there is no list to keep. What starts a
process is found by what its code names, and refused if it starts one all the same. What takes
more than a second or two in one process says so itself, by `pytest.mark.slow`; `make test-fast`
names the slowest at its end.
"""

from __future__ import annotations

import inspect
import multiprocessing
import subprocess
import types
import zlib
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import cache
from typing import Any

import pytest

_PROCESSES = (
    *(subprocess.Popen, subprocess.run, subprocess.check_call, subprocess.check_output),
    multiprocessing.get_context,
)
_start = subprocess.Popen.__init__
_REFUSED = (
    "this test starts a process, and `make test-fast` cannot see it by the names in its code:"
    " mark it with pytest.mark.slow"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--fast`."""
    parser.addoption("--fast", action="store_true", help="one case of each test, no processes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what is fast, if that was asked for; have the others begin with what is slow."""
    if config.getoption("fast"):
        unmarked = [item for item in items if not item.get_closest_marker("slow")]
        kept = {item for item in one_of_each(unmarked) if not is_of_processes(item)}
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = [item for item in items if item in kept]
    # Long tests first: none is left to be waited for at the end.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Let no test of the tier start a process."""
    with pytest.MonkeyPatch.context() as patched:
        if item.config.getoption("fast"):
            patched.setattr(subprocess.Popen, "__init__", _refuse)
        return (yield)


def one_of_each(items: Iterable[pytest.Item]) -> Iterator[pytest.Item]:
    """One case of each test function: which, its name decides, so that every route has some."""
    cases = defaultdict(list)
    for item in items:
        cases[item.nodeid.partition("[")[0]].append(item)
    for name, each in cases.items():
        yield each[zlib.crc32(name.encode()) % len(each)]


def is_of_processes(item: pytest.Item) -> bool:
    """Whether its code, or that of a fixture of it, names what starts a process."""
    function = getattr(item, "function", None)
    if function is None:
        return True
    fixtures = getattr(item, "_fixtureinfo", None)
    found = fixtures.name2fixturedefs.values() if fixtures else ()
    return starts_processes(function, *(each.func for defs in found for each in defs))


def starts_processes(*functions: Callable[..., Any]) -> bool:
    """Whether the code of these, or what it names of the tests, names what starts a process."""
    waiting, seen = [inspect.unwrap(function) for function in functions], set()
    while waiting:
        function = waiting.pop()
        if function in seen or not function.__module__.startswith("tests."):
            continue
        seen.add(function)
        for named in _names(function):
            if named in _PROCESSES:
                return True
            methods = vars(named).values() if isinstance(named, type) else (named,)
            unwrapped = (inspect.unwrap(each) for each in methods if callable(each))
            waiting += [each for each in unwrapped if isinstance(each, types.FunctionType)]
    return False


@cache
def _names(function: types.FunctionType) -> frozenset[Any]:
    return frozenset(_named(function.__code__, function.__globals__))


def _named(code: types.CodeType, names: dict[str, Any]) -> Iterator[Any]:
    """The functions and classes that code names, of its module or as a module's attributes.

    An attribute of anything else counts too if a module that the code names has one of the name.
    """
    for name in code.co_names:
        found = names.get(name)
        module = isinstance(found, types.ModuleType)
        candidates = (getattr(found, each, None) for each in code.co_names) if module else (found,)
        for each in candidates:
            if isinstance(each, type | types.FunctionType | types.MethodType):
                yield each
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _named(inner, names)


def _refuse(process: subprocess.Popen[Any], *arguments: Any, **options: Any) -> None:
    if any(frame.f_globals["__name__"].startswith("project.embedded") for frame in _callers()):
        # It looks for its server before the first connection, whose tests those are not.
        _start(process, *arguments, **options)
    else:
        pytest.fail(_REFUSED)


def _callers() -> Iterator[types.FrameType]:
    frame = inspect.currentframe()
    while frame is not None:
        yield frame
        frame = frame.f_back
