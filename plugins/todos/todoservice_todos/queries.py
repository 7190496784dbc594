"""The statements of todos, written as if there were one user: the host adds the user to each."""

from sqlalchemy import delete, insert, select, update
from sqlmodel import col

from todoservice import Queries, idempotent, param
from todoservice_todos.models import Todo

ID = col(Todo.id) == param("id")


class TodoQueries(Queries):
    """One statement for each of the five operations."""

    create_todo = insert(Todo).returning(Todo)
    list_todos = select(Todo).where(col(Todo.id) < param("before")).order_by(col(Todo.id).desc()).limit(param("limit"))
    retrieve_todo = select(Todo).where(ID)
    update_todo = idempotent(
        update(Todo)
        .where(ID)
        .values(
            title=param("title", else_=col(Todo.title)),
            description=param("description", else_=col(Todo.description)),
            is_completed=param("is_completed", else_=col(Todo.is_completed)),
        )
        .returning(Todo)
    )
    delete_todo = delete(Todo).where(ID).returning(col(Todo.id))
