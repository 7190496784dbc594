"""A statement as the driver takes it: compiled once, so that a call only binds its parameters.

SQLAlchemy's own execution looks up the compiled form, and makes a context and a result for each call: more work than
psycopg2 has with the statement itself. Its pool, its types and its handling of errors are used as they are.
"""
# ruff: noqa: SLF001 - how SQLAlchemy handles an error of the driver has no public name

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Executable
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

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
    """A statement of whose answer the first row is taken as psycopg2 reads it."""

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        """Compile it. Raises CompileError."""
        self.statement: Final = statement
        made = compiled(statement, dialect)
        self._text = made.string if _is_complete(made) else None
        self._preset = {name: bind.effective_value for bind, name in made.bind_names.items() if not bind.required}
        self._processors = dict(_processors(made, dialect))

    def execute(self, connection: Connection, values: Mapping[str, Any]) -> Answer:
        """Send it with these values of its parameters. Raises DBAPIError."""
        if self._text is None or _is_watched(connection):
            return connection.execute(self.statement, values)
        parameters = {**self._preset, **values}
        for name, processor in self._processors.items():
            parameters[name] = processor(parameters[name])
        return _send(connection, self._text, parameters)


def _is_complete(made: SQLCompiler) -> bool:
    """Say whether text and presets stay as they are: a list after IN adds to the text, a callable makes a value."""
    changes = made.post_compile_params or made.escaped_bind_names or made.prefetch
    return not (changes or any(bind.callable for bind in made.bind_names))


def _processors(made: SQLCompiler, dialect: Dialect) -> Iterator[tuple[str, Processor]]:
    for bind, name in made.bind_names.items():
        processor = bind.type.dialect_impl(dialect).bind_processor(dialect)
        if processor is not None:
            yield name, processor


def _is_watched(connection: Connection) -> bool:
    """Say whether somebody listens to what SQLAlchemy executes, as tracing does: its own way tells him."""
    return connection._has_events or connection.engine._has_events or connection._echo


def _send(connection: Connection, text: str, parameters: dict[str, Any]) -> Answer:
    if not connection.in_transaction():
        connection.begin()
    cursor = None
    try:
        cursor = connection.connection.cursor()
        connection.dialect.do_execute(cursor, text, parameters)
    except BaseException as error:  # noqa: BLE001 - a connection whose wait was cancelled is given up, too
        failed = text if isinstance(error, connection.dialect.loaded_dbapi.Error) else None
        connection._handle_dbapi_exception(error, failed, parameters, cursor, None)
    return cursor
