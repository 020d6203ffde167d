"""The user model: as it was, but that its preferences are where the migration has them."""

from django.contrib.auth import models as auth

from prefs.fields import PreferencesField
from prefs.users import HasPreferences


class User(HasPreferences, auth.AbstractUser):
    """A user of the site."""

    preferences = PreferencesField(default=dict, blank=True, null=True)
