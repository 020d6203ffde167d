"""Every way of turning a switch that means to turn it, and what each answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from waffle import get_waffle_switch_model

from prefs.engine.switches import SwitchRefused
from tests.support.refusals import records
from tests.support.running import run

ADMIN = "the operator"
LIST = reverse("admin:waffle_switch_changelist")
Answer = tuple[bool, str]
Way = Callable[[Client, str, bool], Answer]


def switch(name: str) -> Any:
    """A switch as it is in the database now."""
    return get_waffle_switch_model().objects.get(name=name)


def page(name: str, what: str = "change") -> str:
    """The address of a page of one switch in the admin."""
    return reverse(f"admin:waffle_switch_{what}", args=[switch(name).pk])


@contextmanager
def nothing_changes() -> Iterator[None]:
    """States, switches, transitions, column and the admin's log are the same afterwards."""
    before = records(), LogEntry.objects.count()
    yield
    assert (records(), LogEntry.objects.count()) == before


def post(client: Client, path: str, data: dict[str, Any]) -> Answer:
    """Post a form of the admin: whether it says that it was done, and all it says."""
    response = client.post(path, data)
    assert response.status_code == 302, response.status_code
    told = list(get_messages(response.wsgi_request))
    assert client.get(response["Location"]).status_code == 200
    text = "\n".join(str(message) for message in told)
    return not any(message.level_tag == "error" for message in told), text


def act(client: Client, action: str, *names: str) -> Answer:
    """Choose switches in the admin's list, and an action."""
    chosen = [switch(name).pk for name in names]
    return post(client, LIST, {"action": action, "_selected_action": chosen})


def by_list(client: Client, name: str, active: bool) -> Answer:
    return act(client, "enable_switches" if active else "disable_switches", name)


def form(which: str, **changed: Any) -> dict[str, Any]:
    """What the form of a switch holds, with some of it changed; False is an empty box."""
    found = switch(which)
    created, modified = found.created, found.modified
    data = {
        "name": found.name,
        "note": found.note,
        "active": found.active,
        "created_0": f"{created:%Y-%m-%d}",
        "created_1": f"{created:%H:%M:%S}",
        "modified_0": f"{modified:%Y-%m-%d}",
        "modified_1": f"{modified:%H:%M:%S}",
        **changed,
    }
    return {key: value for key, value in data.items() if value is not False}


def by_form(client: Client, name: str, active: bool) -> Answer:
    return post(client, page(name), form(name, active=active))


def by_command(client: Client, name: str, active: bool) -> Answer:
    outcome = run("waffle_switch", name, "on" if active else "off")
    assert outcome.status in (0, 4)
    assert "Traceback" not in outcome.err
    return outcome.status == 0, outcome.err


def by_save(client: Client, name: str, active: bool) -> Answer:
    found = switch(name)
    found.active = active
    try:
        found.save()
    except SwitchRefused as refused:
        return False, str(refused)
    return True, ""


WAYS: dict[str, Way] = {
    "the list of the admin": by_list,
    "the form of the admin": by_form,
    "waffle_switch": by_command,
    "Switch.save": by_save,
}
