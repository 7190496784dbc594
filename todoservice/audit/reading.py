"""The first reading of a statement: by tokens, before the parser.

psycopg2, the parser and PostgreSQL each read the text with rules of their own: for white space, comments, names that
fold or are cut short, escapes in literals, and words that are grammar to one and a name to another. An attack lives
where they differ. So this takes the few forms that all three read alike, refuses every other, and writes for the parser
what it read: each name in quotation marks, each value as a numbered placeholder, one space between.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final, NoReturn

from todoservice.audit.words import (
    BEFORE_PARENTHESIS,
    CONTEXT,
    FIELDS,
    KEYWORDS,
    OPERATORS,
    RESERVED,
    TYPES,
)

_TOKEN: Final = re.compile(
    r"""
    (?P<space>[ \t\r\n]+)
    |(?P<placeholder>%\((?P<name>[A-Za-z_][A-Za-z0-9_]*)\)s)
    |(?P<literal>'(?:[^'\\%]|''|%%)*')
    |(?P<quoted>"[A-Za-z_][A-Za-z0-9_ ]*")
    |(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<operator>%%|::|[-+*/<>=~!@\#^&|]+)
    |(?P<mark>[(),.\[\]])
    """,
    re.VERBOSE,
)
_WITH: Final = re.compile(r"\s*with\b", re.IGNORECASE)
_LONGEST_NAME: Final = 63
_MOST_TOKENS: Final = 100_000
_DEEPEST: Final = 50
_SOLID: Final = frozenset({"placeholder", "literal", "quoted", "number", "word"})
_CLASSES: Final = {"literal": "'", "placeholder": "%", "number": "0"}


class Refused(Exception):
    """Why a statement is not proven, and what to write instead."""


def refuse(why: str) -> NoReturn:
    """Raise Refused."""
    raise Refused(why)


@dataclass(frozen=True)
class Reading:
    """What the tokens say of a statement."""

    text: str
    """The statement for the parser: `:x0`, `:x1` and so on stand for its placeholders."""
    names: tuple[str, ...]
    """The parameter of each placeholder."""
    lists: frozenset[str]
    """The parameters that stand directly after IN, where psycopg2 writes a tuple."""
    selects: int
    """How often the word SELECT is there."""
    interpolated: bool
    """Whether it holds a percent sign, which means one thing with parameters and another without."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    apart: bool
    """Whether white space stands before it."""
    at: int = 0
    """Where it begins."""

    @property
    def key(self) -> str:
        return self.text.lower() if self.kind == "word" else _CLASSES.get(self.kind, self.text)


_EDGE: Final = _Token("edge", "", apart=True)


def read(text: str, functions: frozenset[str]) -> Reading:
    """Read a statement that calls `functions` only. Raises Refused."""
    return _Reader(list(_tokens(text)), functions, interpolated="%" in text).read()


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position, apart, depth = 0, True, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            _refuse_character(text, position)
        position, kind, found = match.end(), str(match.lastgroup), match.group()
        kind = "placeholder" if kind == "name" else kind
        if kind == "space":
            apart = True
            continue
        depth += (found == "(") - (found == ")")
        tokens.append(_Token(kind, match.group("name") if kind == "placeholder" else found, apart, match.start()))
        apart = False
        if len(tokens) > _MOST_TOKENS or depth > _DEEPEST:
            refuse("is too long or too deeply nested to be proven: make several of it")
    return tokens


@lru_cache(256)
def behind_with(text: str) -> int:
    """Return where a statement begins behind its common table expressions: 0 where it has none. Raises Refused."""
    if not _WITH.match(text):
        return 0
    depth = 0
    for before, token in pairwise(_tokens(text)):
        depth += (before.text == "(") - (before.text == ")")
        if before.text == ")" and depth == 0 and token.key not in {",", "as"}:
            return token.at
    return 0


def _refuse_character(text: str, position: int) -> NoReturn:
    character = text[position]
    reasons = {
        "'": "holds a literal with a backslash, a percent sign or no end (in text(), write \\\\: for a colon): bind it",
        '"': "holds a quoted name with other characters than letters, digits and _",
        "%": "holds a percent sign that is no %(name)s: bind values by name, and write %% for the sign itself",
        ";": "holds a semicolon: send one statement, and no semicolon after it",
        "$": "holds a dollar sign: write literals in single quotes, or bind them",
        ":": "holds a colon that begins no parameter: write CAST(:name AS type) in text(), not :name::type",
        "\\": "holds a backslash: bind what needs it",
    }
    why = reasons.get(character) or f"holds the character {character!a}, which is not read alike by all"
    refuse(why)


class _Reader:
    """Turns tokens into the parser's text."""

    def __init__(self, tokens: list[_Token], functions: frozenset[str], *, interpolated: bool) -> None:
        self._tokens = tokens
        self._functions = functions
        self._interpolated = interpolated
        self._names: list[str] = []
        self._lists: set[str] = set()
        self._written: list[str] = []

    def read(self) -> Reading:
        for at, token in enumerate(self._tokens):
            self._check_neighbours(at, token)
            self._written.append(self._write(at, token))
        selects = self._written.count("select")
        return Reading(" ".join(self._written), tuple(self._names), frozenset(self._lists), selects, self._interpolated)

    def _at(self, index: int) -> _Token:
        return self._tokens[index] if 0 <= index < len(self._tokens) else _EDGE

    def _check_neighbours(self, at: int, token: _Token) -> None:
        before = self._at(at - 1)
        if not token.apart and {token.kind, before.kind} <= _SOLID:
            refuse(f"has no space between {before.text} and {token.text}")
        if not token.apart and token.kind == before.kind == "operator" and "::" not in {token.text, before.text}:
            refuse(f"has no space between the operators {before.text} and {token.text}")
        if not token.apart and token.text == "&" and before.key == "u":
            refuse("has no space between u and &, which is a prefix to PostgreSQL")
        if token.kind in {"literal", "placeholder"}:
            self._check_value(at, before)

    def _check_value(self, at: int, before: _Token) -> None:
        """Refuse a value after a name, which is something else to one of the readers: an alias, a modulo, a prefix."""
        follows_grammar = before.kind == "word" and self._written[-1] == before.key and before.key != "as"
        follows_type = follows_grammar and before.key in TYPES and before.key not in KEYWORDS
        if before.kind == "operator" or before.text in {"(", ",", "["}:
            return
        if not follows_grammar or (follows_type and self._at(at).kind == "placeholder"):
            refuse(f"has a value after {before.text or 'nothing'}, where none belongs")

    def _write(self, at: int, token: _Token) -> str:
        match token.kind:
            case "placeholder":
                return self._placeholder(at, token)
            case "literal":
                if not token.text.isprintable():
                    refuse("holds a control character in a literal: bind it as a parameter")
                return token.text.replace("%%", "%")
            case "operator":
                if token.text not in OPERATORS and token.text != "::":
                    refuse(f"holds {token.text}, which is no operator that the audit knows; nor is a comment")
                return token.text.replace("%%", "%")
            case "quoted":
                return self._called_name(at) if self._at(at + 1).text == "(" else self._name(token)
            case "word":
                return self._word(at, token)
            case _:
                self._check_mark(at, token)
                return token.text

    def _check_mark(self, at: int, token: _Token) -> None:
        if token.text == ".":
            left, right = self._at(at - 1), self._at(at + 1)
            if left.kind not in {"word", "quoted"} or (right.kind not in {"word", "quoted"} and right.text != "*"):
                refuse("holds a point that joins no two names")

    def _placeholder(self, at: int, token: _Token) -> str:
        if self._at(at - 1).key == "in":
            self._lists.add(token.text)
        self._names.append(token.text)
        return f":x{len(self._names) - 1}"

    def _word(self, at: int, token: _Token) -> str:
        word, before, after = token.key, self._at(at - 1), self._at(at + 1)
        if after.text == "(":
            return self._called(at, word)
        if before.text == "." or after.text == ".":
            return self._name(token)
        if word in KEYWORDS or self._is_grammar(word, before, after) or self._is_type(word, before, after):
            return word
        if word in FIELDS and before.text == "(" and self._at(at - 2).key == "extract":
            return word
        if word in RESERVED:
            refuse(f"uses {word.upper()}, which the audit does not know: write it another way, or quote the name")
        return self._name(token)

    def _is_grammar(self, word: str, before: _Token, after: _Token) -> bool:
        befores, afters = CONTEXT.get(word, (frozenset[str](), frozenset[str]()))
        return before.key in befores or after.key in afters

    def _is_type(self, word: str, before: _Token, after: _Token) -> bool:
        return word in TYPES and (before.key in {"::", "as"} or after.kind == "literal")

    def _name(self, token: _Token) -> str:
        name = token.text.strip('"')
        if len(name) > _LONGEST_NAME:
            refuse(f"holds the name {name}, which PostgreSQL cuts short: use at most {_LONGEST_NAME} characters")
        # PostgreSQL folds what is not quoted, and here are ASCII letters only.
        return f'"{name.lower() if token.kind == "word" else name}"'

    def _called(self, at: int, word: str) -> str:
        """Write a word before a parenthesis: a function, a type, grammar, or a name with a list of columns."""
        before = self._at(at - 1)
        if before.text == ".":
            if self._at(at - 2).text == "pg_catalog" and word in self._functions:
                self._written[-2:] = ["", ""]
                return word
            return self._called_name(at)
        if word in BEFORE_PARENTHESIS or word in TYPES or word in self._functions:
            return word
        if word in KEYWORDS or word in RESERVED:
            refuse(f"uses {word.upper()} before a parenthesis, which the audit does not know")
        return self._called_name(at)

    def _called_name(self, at: int) -> str:
        """Write a name before a parenthesis, where that is a list of columns. Raises Refused for a function."""
        before = self._at(at - 1)
        inserts = before.text == "." and self._at(at - 3).key == "into"
        named = before.key in {"as", "with", "recursive"} or (before.text == ")" and self._closes_source(at - 1))
        if inserts or named or (before.text == "," and self._is_heading(at + 1)):
            return self._name(self._at(at))
        dotted = f"{self._at(at - 2).text}." if before.text == "." else ""
        refuse(
            f"calls {dotted}{self._at(at).text}, which is not among the allowed functions: leave it out, or allow it "
            "in the settings if it neither reads nor changes anything"
        )

    def _closes_source(self, at: int) -> bool:
        """Say whether the parenthesis ends a function's arguments, or a query in FROM: a name after it is an alias."""
        depth = 0
        while at >= 0:
            depth += (self._at(at).text == ")") - (self._at(at).text == "(")
            if depth == 0:
                break
            at -= 1
        before, first = self._at(at - 1), self._at(at + 1).key
        return before.key in self._functions or (
            first in {"select", "values", "with"} and (before.key in {"from", "join", "lateral"} or before.text == ",")
        )

    def _is_heading(self, at: int) -> bool:
        """Say whether the parenthesis holds names only, and AS ( follows: the columns of a common table expression."""
        while self._at(at).text in {"(", ","} and self._at(at + 1).kind in {"word", "quoted"}:
            at += 2
        after = [self._at(at + step).key for step in range(3)]
        return after[:2] == [")", "as"] and after[2] in {"(", "materialized", "not"}
