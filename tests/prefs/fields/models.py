"""Models that a test makes for itself, in the site's app, and that nobody finds after it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from django.db import connection, models

from project.accounts.models import User

_NUMBERS = count(1)


def made(
    *bases: type[models.Model], table: bool = True, proxy: bool = False, **members: Any
) -> Any:
    """A model of these bases and members; with a table of its own, unless it is a proxy."""
    number = next(_NUMBERS)
    options: dict[str, Any] = {"app_label": "accounts", "proxy": proxy}
    if not proxy:
        options["db_table"] = f"made_{number}"
    meta = type("Meta", (), options)
    model = type(f"Made{number}", bases, {"__module__": __name__, "Meta": meta, **members})
    if table and not proxy:
        with connection.schema_editor() as editor:
            editor.create_model(model)
    return model


@pytest.fixture
def forgotten() -> Iterator[None]:
    """What a test makes is no model of the site's afterwards."""
    known = set(User._meta.apps.all_models["accounts"])
    yield
    for name in set(User._meta.apps.all_models["accounts"]) - known:
        del User._meta.apps.all_models["accounts"][name]
    User._meta.apps.clear_cache()
