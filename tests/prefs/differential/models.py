"""Two families of models that differ in one field: that of the release before, and ours.

`Plain` has a user model of its own, with the JSONField that the site had; `Ours` is built around
the site's. Everything else is made twice from one description, so that an operation finds the
same models in both, under the same names (`Family.roles`).
"""

from __future__ import annotations

import copy
from typing import Any

from dirtyfields import DirtyFieldsMixin
from django.contrib.auth.models import AbstractUser, Group, Permission, UserManager
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models
from model_utils import FieldTracker
from simple_history.models import HistoricalRecords

from prefs.fields import PreferencesField
from prefs.users import HasPreferences
from project.accounts.models import User

_OPTIONS: dict[str, Any] = {"default": dict, "blank": True, "null": True}


class PlainUser(AbstractUser):
    """The user model as the release before has it."""

    preferences = models.JSONField(default=dict, blank=True, null=True)
    groups: Any = models.ManyToManyField(Group, blank=True, related_name="+")
    user_permissions: Any = models.ManyToManyField(Permission, blank=True, related_name="+")

    objects = UserManager()

    class Meta(AbstractUser.Meta):
        app_label = "differential"


class NamedUsers(models.Manager[Any]):
    """A manager of a site, which knows nothing of preferences."""

    def get_queryset(self) -> Any:
        """Those who have a name."""
        return super().get_queryset().exclude(username="")

    def dark(self) -> Any:
        """Those of the dark theme."""
        return self.filter(preferences__theme="dark")


class Sorted(models.QuerySet[Any]):
    """A queryset of a site."""

    def by_name(self) -> Any:
        """In order of their names."""
        return self.order_by("username")


class Family:
    """The models around one user model; each role is an attribute."""

    def __init__(self, prefix: str, user: type[models.Model], field: Any, *bases: Any) -> None:
        self.prefix = prefix
        self.user: Any = user
        own = models.ForeignKey
        self.note = self._made(
            "Note",
            user=own(user, models.CASCADE, related_name="notes", null=True),
            text=models.TextField(default=""),
            data=models.JSONField(default=dict),
        )
        self.profile = self._made(
            "Profile",
            user=models.OneToOneField(user, models.CASCADE, related_name="profile"),
            motto=models.TextField(default=""),
        )
        self.team = self._made(
            "Team",
            name=models.TextField(default=""),
            members=models.ManyToManyField(user, related_name="teams"),
            lead=own(user, models.SET_NULL, null=True, related_name="leads"),
        )
        self.tag = self._made(
            "Tag",
            word=models.TextField(),
            kind=own(ContentType, models.CASCADE, null=True),
            key=models.BigIntegerField(null=True),
            target=GenericForeignKey("kind", "key"),
        )
        self.archive = self._made(
            "Archive",
            key=models.BigIntegerField(primary_key=True),
            preferences=copy.copy(user._meta.get_field("preferences")),
        )
        self._derive(user, field, bases)
        # What a query calls the way from a user to its child.
        self.below = self.child._meta.model_name

    def _derive(self, user: Any, field: Any, bases: tuple[Any, ...]) -> None:
        """Proxies, children and strangers' mixins."""
        self.proxy = self._made("Proxy", user, proxy=True, named=NamedUsers())
        self.sorted = self._made("Sorted", user, proxy=True, objects=Sorted.as_manager())
        self.child = self._made(
            "Child",
            user,
            grade=models.IntegerField(default=0),
            tags=GenericRelation(self.tag, "key", "kind"),
        )
        self.keyed = self._made(
            "Keyed",
            user,
            code=models.AutoField(primary_key=True),
            person=models.OneToOneField(user, models.CASCADE, parent_link=True),
        )
        base = self._made("Base", *bases, abstract=True, preferences=field(**_OPTIONS))
        self.sibling = self._made("Sibling", base)
        self.dirty = self._made("Dirty", DirtyFieldsMixin, user, proxy=True)
        self.tracked = self._made(
            "Tracked", user, proxy=True, tracker=FieldTracker(["preferences", "first_name"])
        )
        # A site's history is made before anything is asked of its users; a field that was asked
        # remembers its column, and simple-history would copy that.
        for each in user._meta.concrete_fields:
            vars(each).pop("cached_col", None)
        self.recorded = self._made(
            "Recorded",
            user,
            proxy=True,
            history=HistoricalRecords(app="differential", user_model=user),
        )
        self.history = self.recorded.history.model

    def _made(self, name: str, /, *bases: Any, proxy: bool = False, **attributes: Any) -> Any:
        meta: dict[str, Any] = {"app_label": "differential", "proxy": proxy}
        if attributes.pop("abstract", False):
            meta = {"app_label": "differential", "abstract": True}
        attributes |= {"__module__": __name__, "Meta": type("Meta", (), meta)}
        make: Any = type(models.Model)
        made = make(self.prefix + name, bases or (models.Model,), attributes)
        globals()[made.__name__] = made
        return made

    @property
    def roles(self) -> dict[str, Any]:
        """Each model that has a table or stands for one, by its name."""
        return {
            role: model
            for role, model in vars(self).items()
            if isinstance(model, type) and issubclass(model, models.Model)
        }


PLAIN = Family("Plain", PlainUser, models.JSONField)
OURS = Family("Ours", User, PreferencesField, HasPreferences)
FAMILIES = (PLAIN, OURS)


def own_models() -> list[Any]:
    """Every model with a table that the site does not have."""
    found = [PlainUser]
    for family in FAMILIES:
        for role, model in family.roles.items():
            if role != "user" and not model._meta.proxy and model not in found:
                found.append(model)
    return found
