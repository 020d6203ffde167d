"""A database with both families, in each of the states in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from tests.prefs.differential.operations import OPERATIONS
from tests.prefs.differential.outcome import Outcome, run
from tests.prefs.differential.world import World
from tests.support import scratch, stores
from tests.support.databases import copies
from tests.support.scratch import Session
from tests.support.stores import Place

__all__ = ["copies"]


@pytest.fixture(scope="module")
def outside(copies: scratch.Copies, django_db_blocker: DjangoDbBlocker) -> Iterator[Session]:
    """A session of a database with the tables of both families, where Django's connections go."""
    installed = [*settings.INSTALLED_APPS, "tests.prefs.differential"]
    with (
        django_db_blocker.unblock(),
        copies.one() as name,
        scratch.pointed_at(name),
        override_settings(INSTALLED_APPS=installed),
    ):
        from tests.prefs.differential.models import own_models

        with connection.schema_editor() as editor:
            for model in own_models():
                editor.create_model(model)
        # Types are made when first asked for, which is nobody's statement here.
        ContentType.objects.clear_cache()
        ContentType.objects.get_for_models(*apps.get_models(), for_concrete_models=False)
        with scratch.connect(name) as session:
            # It works past triggers and foreign keys, and what it asks is planned once.
            session.execute("SET session_replication_role = replica")
            session.execute("SET plan_cache_mode = force_generic_plan")
            session.execute("SET jit = off")
            # The disk is waited for by no test here.
            session.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off'.encode())
            connection.close()
            yield session
        ContentType.objects.clear_cache()


@pytest.fixture(scope="module")
def plain(outside: Session) -> World:
    """The release before."""
    from tests.prefs.differential.models import PLAIN

    return World(PLAIN, None, outside)


@pytest.fixture(scope="module", params=Place, ids=lambda place: place.name)
def ours(request: pytest.FixtureRequest, outside: Session) -> World:
    """This release, in each state."""
    from tests.prefs.differential.models import OURS

    place: Place = request.param
    stores.enter(place)
    return World(OURS, place, outside)


class Expected:
    """What comes of each operation with the plain column, which knows no states."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._outcomes: dict[str, Outcome] = {}

    def __call__(self, name: str) -> Outcome:
        """That of one operation; it is done once."""
        if name not in self._outcomes:
            self._outcomes[name] = run(self._world, OPERATIONS[name])
        return self._outcomes[name]


@pytest.fixture(scope="module")
def expected(plain: World) -> Expected:
    """Those outcomes."""
    return Expected(plain)
