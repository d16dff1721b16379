"""Which tests need a mount, a PostgreSQL or another server: those that lead to what starts one."""

import subprocess
from collections.abc import Iterator
from types import CodeType, FunctionType

import pytest
from mounts import command, mounted
from postgres_server import PostgresServer
from shares import Share

_STARTERS = (mounted, command, Share, PostgresServer, subprocess)
"""A command is a process of its own, with an interpreter to start."""


def is_fast(test: pytest.Item) -> bool:
    """Whether a test, with the fixtures that it takes, runs in this process alone."""
    if not isinstance(test, pytest.Function):
        return False
    if "postgresql" in getattr(getattr(test, "callspec", None), "params", {}).values():
        return False
    fixtures = [each for definitions in test._fixtureinfo.name2fixturedefs.values() for each in definitions]
    todo = [test.function, *(fixture.func for fixture in fixtures if fixture.argname in test.fixturenames)]
    seen: set[object] = set()
    while todo:
        function = todo.pop()
        if any(function is starter for starter in _STARTERS):
            return False
        function = getattr(function, "__wrapped__", function)
        if not isinstance(function, FunctionType) or function in seen:
            continue
        seen.add(function)
        todo += [function.__globals__[name] for name in _names(function.__code__) if name in function.__globals__]
    return not {"postgres", "browser", "kodi_home"} & set(test.fixturenames)


def _names(code: CodeType) -> Iterator[str]:
    """What a function, and those defined in it, refer to."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
