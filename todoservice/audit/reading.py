"""The first reading of a statement: by tokens, before the parser.

psycopg2, the parser, and PostgreSQL each read the text by their own rules: for white space, comments, names that fold
or are cut short, escapes in literals, and words that are grammar to one and a name to another. An attack lives where
they differ. This module accepts only the forms that all three read alike, and writes a text for the parser from them:

- each name in quotation marks, each value as a numbered placeholder, one space between tokens;
- each call as `f_<name>(`, so that the parser applies no rules of its own to functions or to types used as such;
- `ARRAY[...]` as `f_array(...)`, and `value[index]` as `value || f_subscript(index)`;
- each operator without a level of its own in PostgreSQL's table of precedence as `||`, which is one of them.

The parser then needs no backtracking, so that its work grows with the length of the text. It reads the same values in
the same places, which is all that the proof looks for.
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
    FUNCTIONS,
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
OVER: Final = "has more than"
"""Begins the refusal of a statement that is over a limit."""
_MOST_PENDING_JOINS: Final = 3
"""The parser tries each order of the joins whose ON has not come yet."""
_LEVELED: Final = frozenset({"+", "-", "*", "/", "%%", "^", "=", "<>", "!=", "<", ">", "<=", ">="})
"""Operators with a level of their own in the table of precedence (PostgreSQL, section 4.1.6)."""
_SPECIAL: Final = frozenset({"cast", "extract", "overlay", "position", "substring", "trim"})
"""Calls whose arguments may be separated by words: the parser reads these by their names."""
_TYPE_ENDS: Final = TYPES | {"precision", "varying", "zone"}
_SOLID: Final = frozenset({"placeholder", "literal", "quoted", "number", "word"})
_CLASSES: Final = {"literal": "'", "placeholder": "%", "number": "0"}


class Refused(Exception):
    """Why a statement is not proven, and what to write instead."""


def refuse(why: str) -> NoReturn:
    """Raise Refused."""
    raise Refused(why)


@dataclass(frozen=True)
class Limits:
    """How large a statement may be. The time of a proof grows with each of them."""

    characters: int = 20_000
    tokens: int = 1_500
    depth: int = 20
    """How many brackets and CASE may be open at once, with the prefix operators before a value."""

    def check_characters(self, text: str) -> None:
        """Refuse a text that is too long."""
        if len(text) > self.characters:
            _refuse_over("characters", self.characters)

    def check(self, text: str, tokens: int, depth: int) -> None:
        """Refuse a text that is too long, of too many tokens, or nested too deeply."""
        self.check_characters(text)
        self.check_tokens(tokens)
        self.check_depth(depth)

    def check_tokens(self, tokens: int) -> None:
        """Refuse a statement of too many tokens."""
        if tokens > self.tokens:
            _refuse_over("tokens", self.tokens)

    def check_depth(self, depth: int) -> None:
        """Refuse a statement that is nested too deeply."""
        if depth > self.depth:
            _refuse_over("levels of nesting", self.depth, "depth")


def _refuse_over(what: str, limit: int, setting: str = "") -> NoReturn:
    variable = f"TODOSERVICE_STATEMENT_{(setting or what).upper()}"
    refuse(f"{OVER} {limit} {what}: split it, bind what is long, or raise {variable}")


@dataclass(frozen=True)
class Reading:
    """A statement as its tokens show it."""

    text: str
    """The statement for the parser: `:x0`, `:x1`, and so on stand for its placeholders."""
    names: tuple[str, ...]
    """The parameter of each placeholder."""
    lists: frozenset[str]
    """The parameters that stand directly after IN, where psycopg2 writes a tuple."""
    selects: int
    """The number of times that SELECT occurs."""
    interpolated: bool
    """True if it holds a percent sign, whose meaning depends on whether parameters are sent."""
    tokens: int
    depth: int
    """The deepest nesting, as `Limits.depth` counts it."""


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


@dataclass
class _Bracket:
    """A bracket that is open."""

    at: int
    around: int
    """How deep the statement is nested around it."""
    end: str = ")"
    is_array: bool = False
    """True if values stand in it, which make an array."""
    is_type: bool = False
    """True if it makes a type one of arrays."""
    joins: int = 0
    """How many joins in it have no ON yet."""
    cases: int = 0
    """How many CASE in it have no END yet."""
    zones: int = 0
    """How many AT TIME ZONE follow each other: the parser descends with each."""

    @property
    def depth(self) -> int:
        """How deep the statement is nested in it at this point."""
        return self.around + self.cases + self.zones


_EDGE: Final = _Token("edge", "", apart=True)
_UNENDED: Final = "has a bracket, a CASE, or a JOIN without its end: close each, and give each JOIN its ON"


def read(text: str, functions: frozenset[str], limits: Limits) -> Reading:
    """Read a statement that calls `functions` only. Raises Refused."""
    limits.check_characters(text)
    tokens = _tokens(text, limits.tokens)
    limits.check_tokens(len(tokens))
    return _Reader(tokens, functions, limits, interpolated="%" in text).read()


def _tokens(text: str, most: int) -> list[_Token]:
    """Return the tokens of a text, and no more than one above `most`."""
    tokens: list[_Token] = []
    position, apart = 0, True
    while position < len(text) and len(tokens) <= most:
        match = _TOKEN.match(text, position)
        if match is None:
            _refuse_character(text, position)
        position, kind, found = match.end(), str(match.lastgroup), match.group()
        kind = "placeholder" if kind == "name" else kind
        if kind == "space":
            apart = True
            continue
        tokens.append(_Token(kind, match.group("name") if kind == "placeholder" else found, apart, match.start()))
        apart = False
    return tokens


@lru_cache(256)
def behind_with(text: str) -> int:
    """Return the index at which a statement begins behind its common table expressions: 0 if it has none.

    Raises Refused.
    """
    if not _WITH.match(text):
        return 0
    depth = 0
    for before, token in pairwise(_tokens(text, len(text))):
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
    """Writes the parser's text from tokens."""

    def __init__(self, tokens: list[_Token], functions: frozenset[str], limits: Limits, *, interpolated: bool) -> None:
        self._tokens = tokens
        self._functions = functions
        self._limits = limits
        self._interpolated = interpolated
        self._names: list[str] = []
        self._lists: set[str] = set()
        self._written: list[str] = []
        self._open: list[_Bracket] = [_Bracket(-1, 0)]
        self._openers: dict[int, int] = {}
        """For each closing parenthesis, the index of the one that it closes."""
        self._prefixes = self._deepest = 0

    def read(self) -> Reading:
        for at, token in enumerate(self._tokens):
            self._check_neighbours(at, token)
            self._written.append(self._write(at, token))
            self._track_depth(token)
        if len(self._open) > 1:
            refuse(_UNENDED)
        self._end(self._open[0])
        return Reading(
            " ".join(filter(None, self._written)), tuple(self._names), frozenset(self._lists),
            self._written.count("select"), self._interpolated, len(self._tokens), self._deepest,
        )  # fmt: skip

    def _track_depth(self, token: _Token) -> None:
        """Count the brackets and CASE that are open, the prefix operators before a value, and time zones in a row."""
        written, around = self._written[-1], self._open[-1]
        is_operator = token.kind == "operator"
        self._prefixes = self._prefixes + 1 if is_operator or written == "not" else 0
        match written:
            case "case":
                around.cases += 1
            case "end" if around.cases:
                around.cases -= 1
            case "end":
                refuse(_UNENDED)
            case "at":
                around.zones += 1
        if token.text == "," or is_operator or (written in KEYWORDS and token.kind == "word"):
            around.zones = 0
        self._deepest = max(self._deepest, around.depth + self._prefixes)
        self._limits.check_depth(self._deepest)

    def _end(self, bracket: _Bracket) -> None:
        if bracket.joins or bracket.cases:
            refuse(_UNENDED)

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
        """Refuse a value after a name: one of the readers takes it for an alias, a modulo, or a prefix."""
        follows_grammar = before.kind == "word" and self._written[-1] == before.key and before.key != "as"
        follows_type = follows_grammar and before.key in TYPES and before.key not in KEYWORDS
        if before.kind == "operator" or before.text in {"(", ",", "["}:
            return
        if not follows_grammar or (follows_type and self._at(at).kind == "placeholder"):
            refuse(f"has a value after {before.text or 'nothing'}, where none belongs")

    def _write(self, at: int, token: _Token) -> str:  # noqa: PLR0911 - one for each kind
        match token.kind:
            case "placeholder":
                return self._placeholder(at, token)
            case "literal":
                return self._literal(token.text)
            case "operator":
                return self._operator(self._at(at - 1), token.text)
            case "quoted":
                return self._called_name(at) if self._at(at + 1).text == "(" else self._name(token)
            case "word":
                return self._word(at, token)
            case "number":
                return token.text
            case _:
                return self._mark(at, token.text)

    def _literal(self, text: str) -> str:
        if not text.isprintable():
            refuse("holds a control character in a literal: bind it as a parameter")
        return text.replace("%%", "%")

    def _operator(self, before: _Token, text: str) -> str:
        if text == "::":
            return text
        if text == "%%" and not self._ends_value(before):
            # The parser takes %(name)s for a parameter.
            refuse("has a percent sign without a value before it")
        if text not in OPERATORS:
            refuse(f"holds {text}, which is no operator that the audit knows; nor is a comment")
        return text.replace("%%", "%") if text in _LEVELED else "||"

    def _ends_value(self, token: _Token) -> bool:
        """Return True if a value can end with this token, which was written last."""
        if token.kind == "word" and self._written[-1] == token.key:
            return token.key in {"end", "false", "null", "true"}
        return token.kind in _SOLID or token.text in {")", "]"}

    def _mark(self, at: int, text: str) -> str:
        match text:
            case "(":
                self._enter(at, ")")
            case "[":
                return self._opened_bracket(at)
            case ")" | "]":
                return self._closed(at, text)
            case ".":
                left, right = self._at(at - 1), self._at(at + 1)
                if left.kind not in {"word", "quoted"} or (right.kind not in {"word", "quoted"} and right.text != "*"):
                    refuse("holds a point that joins no two names")
        return text

    def _enter(self, at: int, end: str, *, is_array: bool = False, is_type: bool = False) -> None:
        self._open.append(_Bracket(at, self._open[-1].depth + 1, end, is_array, is_type))

    def _opened_bracket(self, at: int) -> str:
        """Write the beginning of an array, of a subscript, or of what makes a type one of arrays."""
        before, around = self._at(at - 1), self._open[-1]
        if before.key == "array" or (before.text in {"[", ","} and around.end == "]" and around.is_array):
            self._enter(at, "]", is_array=True)
            return "f_array("
        if self._at(at + 1).text == "]" or (before.key in _TYPE_ENDS and self._written[-1] == before.key):
            self._enter(at, "]", is_type=True)
            return "["
        self._enter(at, "]")
        return "|| f_subscript("

    def _closed(self, at: int, text: str) -> str:
        bracket = self._open.pop()
        if not self._open or bracket.end != text:
            refuse(_UNENDED)
        self._end(bracket)
        if text == ")":
            self._openers[at] = bracket.at
        return "]" if bracket.is_type else ")"

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
            self._count_join(word, before, after)
            return "" if word == "array" and after.text == "[" else word
        if word in FIELDS and before.text == "(" and self._at(at - 2).key == "extract":
            return word
        if word in RESERVED:
            refuse(f"uses {word.upper()}, which the audit does not know: write it another way, or quote the name")
        return self._name(token)

    def _count_join(self, word: str, before: _Token, after: _Token) -> None:
        """Count the joins of this bracket whose ON is still to come."""
        around = self._open[-1]
        if word == "join" and before.key != "cross":
            around.joins += 1
            if around.joins > _MOST_PENDING_JOINS:
                refuse("nests joins without parentheses: write the ON of each JOIN behind its table")
        elif around.joins and word in {"on", "using"} and before.key != "distinct" and after.key != "conflict":
            around.joins -= 1

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
                return self._function(word)
            return self._called_name(at)
        if word in TYPES and before.key in {"::", "as"}:
            return self._sized(at, word)
        if word in BEFORE_PARENTHESIS - FUNCTIONS:
            self._count_join(word, before, self._at(at + 1))
            return word
        if word in TYPES or word in self._functions:
            return self._function(word)
        if word in KEYWORDS or word in RESERVED:
            refuse(f"uses {word.upper()} before a parenthesis, which the audit does not know")
        return self._called_name(at)

    def _function(self, word: str) -> str:
        return word if word in _SPECIAL else f"f_{word}"

    def _sized(self, at: int, word: str) -> str:
        """Write a type that has numbers in parentheses: of other things, the parser would try each twice."""
        numbers, at = 0, at + 2
        while self._at(at).kind == "number":
            numbers, at = numbers + 1, at + 1 + (self._at(at + 1).text == ",")
        if not numbers or self._at(at).text != ")":
            refuse(f"gives the type {word} something else than numbers in parentheses")
        return word

    def _called_name(self, at: int) -> str:
        """Write a name before a parenthesis if that begins a list of columns. Raises Refused for a function."""
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
        """Return True if it ends a function's arguments, or a query in FROM: a name after it is an alias."""
        opener = self._openers.get(at, -1)
        before, first = self._at(opener - 1), self._at(opener + 1).key
        return before.key in self._functions or (
            first in {"select", "values", "with"} and (before.key in {"from", "join", "lateral"} or before.text == ",")
        )

    def _is_heading(self, at: int) -> bool:
        """Return True if the parenthesis holds names only and AS ( follows: a common table expression's columns."""
        if self._at(at).text != "(":
            return False
        while self._at(at).text in {"(", ","} and self._at(at + 1).kind in {"word", "quoted"}:
            at += 2
            if self._at(at).text == "(":
                return False
        after = [self._at(at + step).key for step in range(3)]
        return after[:2] == [")", "as"] and after[2] in {"(", "materialized", "not"}
