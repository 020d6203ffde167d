"""A form of the site, with the fields that the model gives it."""

from django.forms import modelform_factory

from tests.previous_release.shop.models import User

UserForm = modelform_factory(User, fields=["username", "preferences"])
