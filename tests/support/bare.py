"""A program that tells what was there before it: see `test_forked`."""

import json
import sys

if __name__ == "__main__":
    loaded = set(sys.modules)
    from django.apps import apps
    from django.conf import settings

    found = {
        "Django": "django.core.management" in loaded,
        "settings": settings.configured,
        "apps": apps.ready,
        "ours": [name for name in loaded if name.partition(".")[0] in {"prefs", "project"}],
    }
    sys.stdout.write(json.dumps(found))
