"""The user model: as it was, but that its preferences are where the migration has them.

The users table keeps its column `preferences` until the contract phase drops it: migration
0002 took the field out of Django's state only, so that this code and the release before it
run side by side.
"""

from typing import ClassVar

from django.contrib.auth import models as auth

from prefs.fields import PreferencesField
from prefs.querysets import PreferencesQuerySet
from prefs.users import HasPreferences


class UserManager(auth.UserManager["User"]):
    """Users, whose bulk writes store preferences too."""

    def get_queryset(self) -> PreferencesQuerySet["User"]:
        """Of the class that knows of preferences."""
        return PreferencesQuerySet(self.model, using=self._db)


class User(HasPreferences, auth.AbstractUser):
    """A user of the site."""

    preferences = PreferencesField(default=dict, blank=True, null=True)

    objects: ClassVar[UserManager] = UserManager()
