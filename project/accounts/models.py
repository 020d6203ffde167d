"""The user model as it is today, without the legacy field.

The users table keeps its column `preferences` until the contract phase drops it: migration
0002 took the field out of Django's state only, so that this code and the release before it
run side by side.
"""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A user of the site."""
