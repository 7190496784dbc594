"""A statement as the driver takes it: compiled once, so that a call only binds its parameters.

SQLAlchemy's own execution looks up the compiled form, and makes a context and a result for each call, in a greenlet of
its own: more work than psycopg2 has with the statement itself. Its types and its handling of errors are used as they
are. Who listens to what it executes, as tracing does, has it execute these too.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from sqlalchemy import Executable
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

from todoservice.database.dialect import exact
from todoservice.database.lease import Lease
from todoservice.texts import compiled

Processor = Callable[[Any], Any]


class Answer(Protocol):
    """What a statement that was sent has: SQLAlchemy's result and psycopg2's cursor both do."""

    @property
    def rowcount(self) -> int:
        """How many rows it selected or changed."""

    def fetchone(self) -> Any:
        """Return the next row, or None."""


class Message:
    """A statement of whose answer nothing is converted: psycopg2's own reading of it will do."""

    def __init__(self, statement: Executable) -> None:
        """Take it. It is compiled as it is first sent, for the server that it is sent to."""
        self._statement = statement
        self._compiled: _Compiled | None = None

    async def execute(self, lease: Lease, values: Mapping[str, Any]) -> Answer:
        """Send it with these values of its parameters. Raises DBAPIError, or StatementError for a value of no use."""
        if self._compiled is None:
            self._compiled = _Compiled(self._statement, lease.dialect)
        if not self._compiled.is_complete or lease.is_listened_to:
            return await lease.execute(self._statement, values)
        return await self._compiled.send(lease, values)


class _Compiled:
    """The text of a statement, and what makes its parameters ready."""

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        made = compiled(statement, dialect)
        self.is_complete = _is_complete(made)
        self._text = made.string
        self._preset = {name: bind.effective_value for bind, name in made.bind_names.items() if not bind.required}
        self._names = frozenset(made.bind_names.values())
        self._processors = dict(_processors(made, dialect))

    async def send(self, lease: Lease, values: Mapping[str, Any]) -> Answer:
        try:
            parameters = self._parameters(values)
        except Exception as error:  # noqa: BLE001 - SQLAlchemy tells of which statement it is
            lease.fail(error, self._text)
        return await lease.ask(self._text, parameters)

    def _parameters(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the text names, and nothing else: what it does not name has no processor here."""
        parameters = self._preset | {name: values[name] for name in self._names & values.keys()}
        for name, processor in self._processors.items():
            parameters[name] = processor(parameters[name])
        return {name: exact(value) for name, value in parameters.items()}


def _is_complete(made: SQLCompiler) -> bool:
    """Say whether text and presets stay as they are: a list after IN adds to the text, a callable makes a value."""
    changes = (made.post_compile_params, made.literal_execute_params, made.escaped_bind_names, made.prefetch)
    return not (any(changes) or any(bind.callable for bind in made.bind_names))


def _processors(made: SQLCompiler, dialect: Dialect) -> Iterator[tuple[str, Processor]]:
    for bind, name in made.bind_names.items():
        processor = bind.type.dialect_impl(dialect).bind_processor(dialect)
        if processor is not None:
            yield name, processor
