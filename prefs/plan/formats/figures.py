"""The plan as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefs.plan.model import Plan


def figures(plan: Plan) -> dict[str, Any]:
    """All of a plan; moments as ISO 8601."""
    found = asdict(plan)
    found |= {"percent": plan.percent, "done": plan.is_done}
    for told, task in zip(found["tasks"], plan.tasks, strict=True):
        told |= {"percent": task.percent, "met": task.met}
    moments: dict[str, Any] = _plain(found)
    return moments


def _plain(value: Any) -> Any:
    """Moments as text, wherever they are."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.isoformat() if hasattr(value, "isoformat") else value
