"""factory-boy factories for owned rows: they validate, and they never invent an owner."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, TypeVar

from factory.base import Factory
from factory.declarations import LazyFunction
from sqlmodel import Session, SQLModel

from todoservice.models import Owned, User, uuid7

Model = TypeVar("Model", bound=SQLModel)
_session: ContextVar[Session] = ContextVar("session")


@contextmanager
def using(session: Session) -> Iterator[Session]:
    """Have `Factory.create` write through `session` during the block. The block's owner commits."""
    token = _session.set(session)
    try:
        yield session
    finally:
        _session.reset(token)


class ModelFactory(Factory[Model]):
    """The base of a factory: `build` makes a valid instance, `create` also stores it (see `using`).

    SQLModel neither validates a table class nor refuses an unknown member, so this does.
    Raises pydantic's ValidationError for a bad value, TypeError for an unknown member.
    """

    class Meta:
        abstract = True

    @classmethod
    def _build(cls, model_class: type[Model], *args: Any, **kwargs: Any) -> Model:  # noqa: ARG003 - factory-boy's signature
        unknown = kwargs.keys() - model_class.model_fields.keys()
        if unknown:
            msg = f"{model_class.__name__} has no {', '.join(sorted(unknown))}"
            raise TypeError(msg)
        return model_class.model_validate(kwargs)

    @classmethod
    def _create(cls, model_class: type[Model], *args: Any, **kwargs: Any) -> Model:
        instance = cls._build(model_class, *args, **kwargs)
        session = _session.get()
        session.add(instance)
        session.flush()
        return instance


class OwnedFactory(ModelFactory[Model]):
    """The base of a factory of owned rows. The owner is given by the test: `TodoFactory.create(user_id=user.id)`.

    A `created_at` that the test gives makes the id too, so that newest first stays one order.
    """

    class Meta:
        abstract = True

    @classmethod
    def _build(cls, model_class: type[Model], *args: Any, **kwargs: Any) -> Model:
        if issubclass(model_class, Owned) and "user_id" not in kwargs:
            msg = f"{cls.__name__} never invents an owner: give user_id"
            raise TypeError(msg)
        if "created_at" in kwargs:
            kwargs.setdefault("id", uuid7(kwargs["created_at"]))
        return super()._build(model_class, *args, **kwargs)


class UserFactory(ModelFactory[User]):
    """Someone who owns rows."""

    class Meta:
        model: ClassVar = User

    id = LazyFunction(uuid7)
