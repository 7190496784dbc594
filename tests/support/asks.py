"""A plugin that runs what it is told to, and what it should answer: the same statements, over rows in memory.

A condition or a question is a list: its kind, and what it takes.
"""
# ruff: noqa: PLR0911 - a case for each kind

from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import APIRouter
from hypothesis import strategies as st
from sqlalchemy import case, delete, exists, func, select, union_all, update
from sqlalchemy.orm import aliased
from todoservice_todos import models

from todoservice import CurrentScope, UnscopedStatement

Todo: Any = models.Todo
TITLES: Final = ("a", "b", "c")
Rows = Mapping[str, dict[str, Any]]

# The plugin

router = APIRouter()


@router.post("")
async def ask(question: list[Any], scope: CurrentScope) -> dict[str, Any]:
    """Run the question's statement with the user's scope."""
    statement = statement_of(question)
    try:
        if question[0] in {"update", "delete"}:
            return {"answer": await scope.execute(statement)}
        return {"answer": [list(row) for row in await scope.all(statement)]}
    except UnscopedStatement as refusal:
        return {"refused": str(refusal)}


def statement_of(question: list[Any]) -> Any:
    """Return the statement, as a plugin would write it that thinks of no user."""
    match question:
        case ["titles", where]:
            return select(Todo.title).where(clause(where, Todo)).order_by(Todo.title)
        case ["count", where]:
            return select(func.count(Todo.id)).where(clause(where, Todo))
        case ["count of a query", where]:
            return select(func.count()).select_from(select(Todo.id).where(clause(where, Todo)).subquery())
        case ["grouped", where]:
            return select(Todo.title, func.count()).where(clause(where, Todo)).group_by(Todo.title).order_by(Todo.title)
        case ["pairs", where]:
            left, right = aliased(Todo), aliased(Todo)
            joined = select(func.count()).select_from(left).join(right, left.title == right.title)
            return joined.where(clause(where, left))
        case ["outer", where]:
            other = aliased(Todo)
            return select(func.count(other.id)).select_from(Todo).outerjoin(other, clause(where, other))
        case ["union", one, two]:
            both = union_all(*(select(Todo.title).where(clause(where, Todo)) for where in (one, two))).subquery()
            return select(both.c.title).order_by(both.c.title)
        case ["with", where]:
            named = select(Todo.title).where(clause(where, Todo)).cte("named")
            return select(named.c.title).order_by(named.c.title)
        case ["whether", where]:
            return select(case((exists(select(Todo.id).where(clause(where, Todo))), 1), else_=0))
        case ["ordered by a count", where]:
            other = aliased(Todo)
            above = select(func.count(other.id)).where(other.title > Todo.title, clause(where, other)).scalar_subquery()
            return select(Todo.title).order_by(above, Todo.title)
        case ["update", where, title]:
            return update(Todo).where(clause(where, Todo)).values(title=title)
        case ["delete", where]:
            return delete(Todo).where(clause(where, Todo))
    raise AssertionError(question)


def clause(where: list[Any], todo: Any) -> Any:
    """Return a condition on `todo`, the table's class or another name for it."""
    match where:
        case ["title", title]:
            return todo.title == title
        case ["after", title]:
            return todo.title > title
        case ["id", id]:
            return todo.id == id
        case ["done"]:
            return todo.is_completed.is_(True)
        case ["and", one, two]:
            return clause(one, todo) & clause(two, todo)
        case ["or", one, two]:
            return clause(one, todo) | clause(two, todo)
        case ["not", one]:
            return ~clause(one, todo)
        case ["another has its title"]:
            other = aliased(Todo)
            return exists(select(other.id).where(other.title == todo.title, other.id != todo.id).correlate(todo))
        case ["there is one", one]:
            other = aliased(Todo)
            return exists(select(other.id).where(clause(one, other)))
        case ["is among", one]:
            other = aliased(Todo)
            return todo.id.in_(select(other.id).where(clause(one, other)))
    raise AssertionError(where)


# What it should answer


def answer_of(question: list[Any], rows: dict[str, dict[str, Any]]) -> Any:
    """Return what the statement answers where these rows are all there are, and change them as it does."""
    kind, where = question[0], question[1]
    chosen = [row for row in rows.values() if holds(where, row, rows)]
    titles = sorted(row["title"] for row in chosen)
    match kind:
        case "titles" | "with":
            return [[title] for title in titles]
        case "count" | "count of a query":
            return [[len(chosen)]]
        case "grouped":
            return [[title, titles.count(title)] for title in sorted({*titles})]
        case "pairs":
            return [[sum(row["title"] == other["title"] for row in chosen for other in rows.values())]]
        case "outer":
            return [[len(rows) * len(chosen)]]
        case "union":
            others = [row["title"] for row in rows.values() if holds(question[2], row, rows)]
            return [[title] for title in sorted(titles + others)]
        case "whether":
            return [[int(bool(chosen))]]
        case "ordered by a count":
            above = {title: sum(other > title for other in titles) for title in TITLES}
            every = sorted((above[row["title"]], row["title"]) for row in rows.values())
            return [[title] for _, title in every]
        case "update":
            for row in chosen:
                row["title"] = question[2]
            return len(chosen)
        case "delete":
            for row in chosen:
                del rows[row["id"]]
            return len(chosen)
    raise AssertionError(question)


def holds(where: list[Any], row: dict[str, Any], rows: Rows) -> bool:
    """Say whether the condition holds for a row among `rows`."""
    match where:
        case ["title", title]:
            return bool(row["title"] == title)
        case ["after", title]:
            return bool(row["title"] > title)
        case ["id", id]:
            return bool(row["id"] == id)
        case ["done"]:
            return bool(row["is_completed"])
        case ["and", one, two]:
            return holds(one, row, rows) and holds(two, row, rows)
        case ["or", one, two]:
            return holds(one, row, rows) or holds(two, row, rows)
        case ["not", one]:
            return not holds(one, row, rows)
        case ["another has its title"]:
            return any(other["title"] == row["title"] and other["id"] != row["id"] for other in rows.values())
        case ["there is one", one]:
            return any(holds(one, other, rows) for other in rows.values())
        case ["is among", one]:
            return holds(one, row, rows)
    raise AssertionError(where)


# What is asked


def wheres(id: st.SearchStrategy[str]) -> st.SearchStrategy[list[Any]]:
    """Return conditions that name these ids."""
    title = st.sampled_from(TITLES)
    plain: st.SearchStrategy[list[Any]] = st.one_of(
        kind("title", title), kind("after", title), kind("id", id), kind("done"), kind("another has its title")
    )

    def compose(inner: st.SearchStrategy[list[Any]]) -> st.SearchStrategy[list[Any]]:
        return st.one_of(
            kind("and", inner, inner), kind("or", inner, inner), kind("not", inner),
            kind("there is one", inner), kind("is among", inner),
        )  # fmt: skip

    return st.recursive(plain, compose, max_leaves=6)


def questions(id: st.SearchStrategy[str]) -> st.SearchStrategy[list[Any]]:
    """Return questions whose conditions name these ids."""
    where = wheres(id)
    one: Callable[[str], st.SearchStrategy[list[Any]]] = lambda name: kind(name, where)  # noqa: E731
    reading = [
        "titles",
        "count",
        "count of a query",
        "grouped",
        "pairs",
        "outer",
        "with",
        "whether",
        "ordered by a count",
    ]
    return st.one_of(
        *map(one, reading), kind("union", where, where), kind("update", where, st.sampled_from(TITLES)), one("delete")
    )


def kind(name: str, *takes: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Return lists of the name and what it takes."""
    return st.tuples(st.just(name), *takes).map(list)
