"""Factories of this repository's own models."""

from typing import ClassVar

from factory.declarations import Sequence
from todoservice_todos.models import Todo

from todoservice.testing.factories import OwnedFactory


class TodoFactory(OwnedFactory[Todo]):
    """A todo of a user that the test gives."""

    class Meta:
        model: ClassVar = Todo

    title = Sequence("Todo {}".format)
