"""manage.py rollback_prefs: take the last transition back, or say what it waits for."""

from prefs.management.transition import TransitionCommand


class Command(TransitionCommand):
    help = "Takes the next transition back, or names the unmet gates and what meets each."
    forward = False
