"""manage.py advance_prefs: take the next transition, or say what it waits for."""

from prefs.management.transition import TransitionCommand


class Command(TransitionCommand):
    help = "Takes the next transition, or names the unmet gates and what meets each."
    forward = True
