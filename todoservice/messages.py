"""A statement as the driver takes it: compiled once, so that a call only binds its parameters.

SQLAlchemy's own execution looks up the compiled form, and makes a context and a result for each call, in a greenlet of
its own: more work than psycopg2 has with the statement itself. Its types and its handling of errors are used as they
are. Who listens to its cursors, as tracing does, hears of these too: then it sends the text.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from sqlalchemy.sql.compiler import SQLCompiler

from todoservice.confinement import UnscopedStatement
from todoservice.database.lease import Lease
from todoservice.defaults import Default, default_of
from todoservice.shapes import APART

Processor = Callable[[Any], Any]
Bound = tuple[str, dict[str, Any]]
"""A text, and the parameters that it is sent with."""


class Answer(Protocol):
    """What a statement that was sent has: SQLAlchemy's result and psycopg2's cursor both do."""

    @property
    def rowcount(self) -> int:
        """How many rows it selected or changed."""

    def fetchone(self) -> Any:
        """Return the next row, or None."""


class Message:
    """A statement of whose answer nothing is converted: psycopg2's own reading of it will do."""

    def __init__(
        self, statement: SQLCompiler, parent: SQLCompiler | None = None, around: Callable[..., str] = str
    ) -> None:
        """`around` makes the text that is sent of the statement's own, and of that of `parent`, where there is one."""
        self._around = around
        self._statement = _Part(statement)
        self._parent = None if parent is None else _Part(parent)
        self._is_complete = self._statement.is_complete and (self._parent is None or self._parent.is_complete)
        self._text = ""

    async def execute(self, lease: Lease, values: Mapping[str, Any]) -> Answer:
        """Send it with these values of its parameters. Raises DBAPIError, or StatementError for a value of no use."""
        try:
            text, parameters = self.bound(values)
        except UnscopedStatement:
            raise
        except Exception as error:  # noqa: BLE001 - SQLAlchemy tells of which statement it is
            lease.fail(error, self._statement.text)
        if lease.is_listened_to:
            return await lease.execute_text(text, parameters)
        return await lease.ask(text, parameters)

    def bound(self, values: Mapping[str, Any]) -> Bound:
        """Return the text that is sent, and its parameters.

        Raises UnscopedStatement for a text that is not proven, and what a type raises for a value of no use.
        """
        text, parameters = self._statement.bound(values)
        if self._parent is None:
            return self._text or self._made(text), parameters
        parent, others = self._parent.bound(values)
        return self._text or self._made(text, parent), parameters | {f"{APART}{name}": others[name] for name in others}

    def _made(self, *texts: str) -> str:
        text = self._around(*texts)
        if self._is_complete:
            self._text = text
        return text


class _Part:
    """The text of a compiled statement, and what makes its parameters ready."""

    def __init__(self, made: SQLCompiler) -> None:
        self.is_complete = _is_complete(made)
        self.text = made.string
        self._made = made
        self._preset = {name: bind.effective_value for bind, name in made.bind_names.items() if not bind.required}
        self._names = frozenset(made.bind_names.values())
        self._processors = dict(_processors(made))
        self._defaults = dict(_defaults(made))

    def bound(self, values: Mapping[str, Any]) -> Bound:
        """Return the text and what it names, and nothing else: what it does not name has no processor here."""
        if not self.is_complete:
            return self._expanded(values)
        parameters = self._preset | {name: values[name] for name in self._names & values.keys()}
        for name, processor in self._processors.items():
            parameters[name] = processor(parameters[name])
        return self.text, parameters

    def _expanded(self, values: Mapping[str, Any]) -> Bound:
        given = self._made.construct_params(values, escape_names=False)
        for name, default in self._defaults.items():
            given[name] = default(given)
        state = self._made.construct_expanded_state(given, escape_names=False)
        processors = self._processors | dict(state.processors)
        called = self._made.escaped_bind_names
        parameters = {
            called.get(name, name): processors[name](value) if name in processors else value
            for name, value in state.parameters.items()
        }
        return state.statement, parameters


def _is_complete(made: SQLCompiler) -> bool:
    """Say whether text and presets stay as they are: a list after IN adds to the text, a callable makes a value."""
    changes = (made.post_compile_params, made.literal_execute_params, made.escaped_bind_names, made.prefetch)
    return not (any(changes) or any(bind.callable for bind in made.bind_names))


def _processors(made: SQLCompiler) -> Iterator[tuple[str, Processor]]:
    for bind, name in made.bind_names.items():
        processor = bind.type.dialect_impl(made.dialect).bind_processor(made.dialect)
        if processor is not None:
            yield name, processor


def _defaults(made: SQLCompiler) -> Iterator[tuple[str, Default]]:
    """Yield what fills the columns that the statement changes without saying so."""
    for columns, default in ((made.insert_prefetch, "default"), (made.update_prefetch, "onupdate")):
        for column in columns:
            if (filled := default_of(getattr(column, default))) is not None:
                yield column.key, filled
