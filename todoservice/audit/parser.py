"""The second reading of a statement: sqlglot's, of the text that `reading` writes."""

from typing import Any

import sqlglot
from sqlglot.dialects.postgres import Postgres
from sqlglot.parsers.postgres import PostgresParser

from todoservice.audit.reading import Reading, refuse


class _Parser(PostgresParser):
    """PostgreSQL's parser for texts in which all names are quoted, so that LIMIT and OFFSET are always clauses."""

    def _can_parse_limit_or_offset(self) -> bool:
        # sqlglot parses what follows, to find out if the word is an alias, and then parses it again.
        return bool(self._match_set(self.AMBIGUOUS_ALIAS_TOKENS, advance=False))


class QuotedPostgres(Postgres):
    """The dialect of those texts."""

    Parser = _Parser


def parse(reading: Reading) -> Any:
    """Return the tree of the one statement. Raises Refused, and sqlglot's ParseError."""
    statements = sqlglot.parse(reading.text, dialect=QuotedPostgres)
    if len(statements) != 1 or statements[0] is None:
        refuse("is not one statement: send one")
    return statements[0]
