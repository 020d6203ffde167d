"""A site as Django's own commands begin it adopts the field: one class name, two bases."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from prefs.engine.states import State
from tests.support import forked, scratch

pytestmark = pytest.mark.slow

SETTINGS = """
import json, os
INSTALLED_APPS += ["accounts"]
AUTH_USER_MODEL = "accounts.User"
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql",
    "OPTIONS": {"application_name": "prefs"},
    **json.loads(os.environ["SITE_DATABASE"]),
}}
# Its tests run on the site's own database, whatever state that is in.
DATABASES["default"]["TEST"] = {"NAME": DATABASES["default"]["NAME"], "SERIALIZE": False}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"""
ADOPTED = """
INSTALLED_APPS += ["waffle", "prefs"]
PREFS_CUTOVER_SOAK = PREFS_CONTRACT_SOAK = timedelta(0)
"""
MODELS = """
from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    preferences = models.JSONField(default=dict, blank=True)
"""
# Written against the plain field; not a line of it changes.
TESTS = """
import copy
import io
import json

from django.contrib.auth import authenticate, get_user_model
from django.core import serializers
from django.core.management import call_command
from django.db import models, transaction
from django.db.models import F
from django.forms import modelform_factory
from django.test import TestCase

User = get_user_model()
LIGHT = {"theme": "light", "beta": 1, "notifications": {"email": {"digest": "daily"}}}


class Preferences(TestCase):
    def setUp(self):
        self.user = User.objects.create_user("ada", password="x", preferences=copy.deepcopy(LIGHT))

    def stored(self):
        return User.objects.values_list("preferences", flat=True).get(pk=self.user.pk)

    def test_the_users_that_were_there(self):
        ours = User.objects.filter(username__startswith="old").order_by("pk")
        self.assertEqual([user.preferences["n"] for user in ours], [0, 1, 2])

    def test_reading(self):
        self.assertEqual(User.objects.get(pk=self.user.pk).preferences, LIGHT)
        self.assertEqual(User.objects.values().get(pk=self.user.pk)["preferences"], LIGHT)
        self.assertEqual(authenticate(username="ada", password="x").preferences, LIGHT)

    def test_saving(self):
        with self.assertNumQueries(1):
            self.user.save()
        self.user.preferences["theme"] = "dark"
        self.user.save()
        self.assertEqual(self.stored(), {**LIGHT, "theme": "dark"})
        self.user.preferences = {"a": [1, 2]}
        self.user.save(update_fields=["preferences"])
        self.assertEqual(self.stored(), {"a": [1, 2]})

    def test_querysets(self):
        users = User.objects.filter(pk=self.user.pk)
        self.assertEqual(users.filter(preferences__theme="light").count(), 1)
        self.assertEqual(users.exclude(preferences__theme="light").count(), 0)
        self.assertEqual(users.filter(preferences__notifications__email__digest="daily").count(), 1)
        self.assertEqual(users.update(preferences=F("preferences__notifications")), 1)
        self.assertEqual(self.stored(), LIGHT["notifications"])

    def test_bulk(self):
        made = [User(username=f"b{n}", preferences={"n": n}) for n in range(3)]
        User.objects.bulk_create(made)
        for user in made:
            user.preferences["m"] = 1
        self.assertEqual(User.objects.bulk_update(made, ["preferences"]), 3)
        found = User.objects.filter(username__startswith="b").order_by("pk")
        self.assertEqual([user.preferences for user in found], [{"n": n, "m": 1} for n in range(3)])

    def test_other_managers(self):
        User._base_manager.filter(pk=self.user.pk).update(preferences={"base": True})
        self.assertEqual(self.stored(), {"base": True})

    def test_forms_and_serializers(self):
        form = modelform_factory(User, fields=["preferences"])
        form = form({"preferences": '{"f": 1}'}, instance=self.user)
        self.assertTrue(form.is_valid())
        form.save()
        self.assertEqual(self.stored(), {"f": 1})
        out = io.StringIO()
        call_command("dumpdata", "accounts.User", stdout=out)
        User.objects.filter(pk=self.user.pk).update(preferences={})
        for each in serializers.deserialize("json", out.getvalue()):
            each.save()
        self.assertEqual(self.stored(), {"f": 1})
        found = [row["fields"]["preferences"] for row in json.loads(out.getvalue())]
        self.assertIn({"f": 1}, found)

    def test_a_rollback(self):
        self.user.preferences["theme"] = "dark"
        with transaction.atomic():
            self.user.save()
            transaction.set_rollback(True)
        self.assertEqual(self.stored(), LIGHT)
        self.user.save()
        self.assertEqual(self.stored()["theme"], "dark")

    def test_the_field_is_a_json_field(self):
        field = User._meta.get_field("preferences")
        self.assertIsInstance(field, models.JSONField)
        self.assertEqual(field.deconstruct()[1], "django.db.models.JSONField")
        self.assertIn(field, User._meta.local_concrete_fields)
"""


class Site:
    """A folder that `django-admin startproject` made, and its database."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder = folder
        where = connection.settings_dict
        keys = ("HOST", "PORT", "USER", "PASSWORD")
        access = {**{key: where[key] for key in keys}, "NAME": database}
        self.environ = {
            **{k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"},
            "PYTHONPATH": f"{folder}{os.pathsep}{scratch.ROOT}",
            "SITE_DATABASE": json.dumps(access),
        }

    def run(self, *command: str, status: int = 0) -> str:
        with forked.start(self.environ, *command, folder=self.folder) as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == status, (command, out, err)
        return out + err

    def manage(self, *arguments: str, status: int = 0) -> str:
        return self.run("manage.py", *arguments, status=status)

    def edit(self, name: str, *changes: tuple[str, str]) -> None:
        path = self.folder / name
        text = path.read_text()
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        path.write_text(text)

    def add(self, name: str, text: str) -> None:
        with (self.folder / name).open("a") as file:
            file.write(text)

    def tests_pass(self) -> None:
        assert "OK" in self.manage("test", "accounts", "--keepdb", "--noinput")


@pytest.fixture
def site(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Site]:
    """A site with a plain JSONField, three users, and tests that pass."""
    with django_db_blocker.unblock():
        connection.get_connection_params()
        with scratch.database() as name:
            found = Site(tmp_path, name)
            found.run("-m", "django", "startproject", "shop", ".")
            found.manage("startapp", "accounts")
            found.add("shop/settings.py", SETTINGS)
            (tmp_path / "accounts" / "models.py").write_text(MODELS)
            (tmp_path / "accounts" / "tests.py").write_text(TESTS)
            found.manage("makemigrations", "accounts")
            found.manage("migrate")
            found.manage(
                "shell",
                "-c",
                "from accounts.models import User\n"
                "for n in range(3): User.objects.create(username=f'old{n}', preferences={'n': n})",
            )
            found.tests_pass()
            yield found


def adopt(site: Site) -> None:
    """All that changes: the class of the field, the bases of the model, two apps."""
    site.edit(
        "accounts/models.py",
        ("models.JSONField(", "PreferencesField("),
        ("class User(AbstractUser)", "class User(HasPreferences, AbstractUser)"),
        (
            "from django.db import models\n",
            "from prefs.fields import PreferencesField\nfrom prefs.users import HasPreferences\n",
        ),
    )
    site.add("shop/settings.py", "\nfrom datetime import timedelta\n" + ADOPTED)


FORWARD: dict[State, tuple[tuple[str, ...], ...]] = {
    State.EXPANDED: (),
    State.DUAL_WRITE: (("advance_prefs",), ("backfill_prefs",), ("verify_prefs",)),
    State.READ_CUTOVER: (("advance_prefs",), ("verify_prefs",)),
    State.MIRROR_OFF: (("advance_prefs",),),
    State.DROPPED: (("advance_prefs", "--noinput"),),
}
BACKWARD: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("rollback_prefs",),),
    (("rollback_prefs",), ("backfill_prefs", "--reverse"), ("verify_prefs",)),
    (("rollback_prefs",),),
    (("rollback_prefs",),),
)


def test_its_own_tests_pass_in_every_state_and_on_the_way_back(site: Site) -> None:
    """Case C1: the README's own way to adopt dropped the column."""
    adopt(site)
    assert "No changes detected" in site.manage("makemigrations", "--check", "--dry-run")
    site.manage("migrate")
    assert "No changes detected" in site.manage("makemigrations", "--check", "--dry-run")
    assert "no issues" in site.manage("check", "--database", "default")
    for here, steps in FORWARD.items():
        for step in steps:
            site.manage(*step)
        assert json.loads(site.manage("status_prefs", "--json"))["state"] == str(here)
        site.tests_pass()
    for steps in BACKWARD:
        for step in steps:
            site.manage(*step)
        site.tests_pass()
    # And the site gives it up again.
    site.environ["PREFS_FORGET"] = "audit,archive"
    site.manage("migrate", "prefs", "zero")
    (site.folder / "accounts" / "models.py").write_text(MODELS)
    site.edit("shop/settings.py", ('INSTALLED_APPS += ["waffle", "prefs"]', ""))
    assert "No changes detected" in site.manage("makemigrations", "--check", "--dry-run")
    site.tests_pass()


def test_nothing_of_djangos_drops_the_column(site: Site) -> None:
    """Case C1: the field removed too early, before our migrations and after them; squashed."""
    adopt(site)
    plain = (site.folder / "accounts" / "models.py").read_text()
    without = "".join(line for line in plain.splitlines(True) if "PreferencesField(" not in line)
    (site.folder / "accounts" / "models.py").write_text(without + "    pass\n")
    assert "Remove field preferences" in site.manage("makemigrations", "accounts")
    # prefs was never migrated here.
    assert "would touch the preferences" in site.manage("migrate", status=4)
    [later] = (site.folder / "accounts" / "migrations").glob("0002*.py")
    later.unlink()
    (site.folder / "accounts" / "models.py").write_text(plain)
    site.manage("migrate")
    (site.folder / "accounts" / "models.py").write_text(without + "    pass\n")
    site.manage("makemigrations", "accounts")
    assert "would touch the preferences" in site.manage("migrate", status=4)
    site.manage("squashmigrations", "accounts", "0002", "--noinput")
    assert "would touch the preferences" in site.manage("migrate", status=4)
    for name in ("0001_squashed*.py", "0002*.py"):
        for path in (site.folder / "accounts" / "migrations").glob(name):
            path.unlink()
    (site.folder / "accounts" / "models.py").write_text(plain)
    site.tests_pass()
