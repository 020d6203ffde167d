"""Every manager of a user model stores preferences by route, whatever it was made of.

A model that derives from HasPreferences (`prefs.users`) has its managers exchanged for such whose
querysets are PreferencesQuerySets, too: those it declares, those it inherits, and the one that
Django saves and refreshes by. They are deconstructed as they were. A manager that makes its
queryset by itself cannot be helped: `prefs.E002` names it.
"""

from __future__ import annotations

import copy
import copyreg
from functools import cache
from typing import Any

from django.db.models.options import Options
from django.utils.functional import cached_property

from prefs.querysets import PreferencesQuerySet


class _OfTheOwner:
    """What goes before the class of a manager: for migrations it is the manager that it was."""

    _plain: type[Any]
    _constructor_args: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, self._plain) and bool(
            self._constructor_args == vars(other)["_constructor_args"]
        )

    def __hash__(self) -> int:
        return id(self)


class _OwnerOptions(Options):  # type: ignore[type-arg]  # generic for mypy alone
    """Options whose base manager stores preferences."""

    @cached_property
    def base_manager(self) -> Any:
        """As Django's; it is not among the managers of the model."""
        plain: Any = Options.base_manager
        return upgraded(plain.func(self))


def upgraded(manager: Any) -> Any:
    """A copy of a manager whose querysets store preferences by route; of one that has them, too."""
    found = copy.copy(manager)
    if not issubclass(found._queryset_class, PreferencesQuerySet):
        made: Any = type(found)
        found.__class__ = _manager_class(made)
    return found


@cache
def _manager_class(plain: type[Any]) -> type[Any]:
    return _like(plain, _OfTheOwner, _queryset_class=_queryset_class(plain._queryset_class))


class _OfOwners(PreferencesQuerySet[Any]):
    """What goes before the class of a queryset: it is pickled as the one that it was."""

    _plain: type[Any]

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild: Any = copyreg._reconstructor  # type: ignore[attr-defined]  # noqa: SLF001
        return rebuild, (self._plain, object, None), self.__getstate__()


@cache
def _queryset_class(plain: type[Any]) -> type[Any]:
    return _like(plain, _OfOwners)


def _like(plain: type[Any], first: type[Any], **members: Any) -> type[Any]:
    """A class of the names of another, and what goes before it."""
    names = {each: getattr(plain, each) for each in ("__module__", "__qualname__", "__doc__")}
    return type(plain.__name__, (first, plain), {**names, "_plain": plain, **members})


def upgrade(model: Any) -> None:
    """Exchange the managers of a model that was just made, in the order that they have."""
    found = [upgraded(each) for each in model._meta.managers]
    model._meta.local_managers = []
    for manager in found:
        manager._set_creation_counter()
        model.add_to_class(manager.name, manager)
    model._meta.__class__ = _OwnerOptions
    model._meta._expire_cache()
