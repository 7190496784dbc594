"""The statements of tags, written as if there were one user: the host adds the user to each."""

from sqlalchemy import Uuid, and_, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col
from todoservice_todos import Todo

from todoservice import Queries, param
from todoservice_tags.models import Tag, TagTodo

TAG = col(Tag.id) == param("tag_id")
TODO = col(Todo.id) == param("todo_id")
OF_TAG = col(TagTodo.tag_id) == param("tag_id")
OF_TODO = col(TagTodo.todo_id) == param("todo_id")

# Locked as the foreign keys lock them, what is deleted meanwhile is not found here, instead of failing the keys.
_both = (
    select(col(Tag.user_id), param("id", Uuid()), col(Tag.id), col(Todo.id))
    .join(Todo, col(Todo.user_id) == col(Tag.user_id))
    .where(TAG, TODO)
    .with_for_update(read=True, key_share=True)
)
_attached = insert(TagTodo).from_select(["user_id", "id", "tag_id", "todo_id"], _both)


class TagQueries(Queries):
    """One statement for each operation, and `todo`, which says whether there is one."""

    todo = select(Todo).where(TODO)

    create_tag = insert(Tag).returning(Tag)
    list_tags = select(Tag).where(col(Tag.id) < param("before")).order_by(col(Tag.id).desc()).limit(param("limit"))
    # Both sides of the join begin after the page before, wherever PostgreSQL begins.
    list_tags_of_todo = (
        select(Tag)
        .join(TagTodo, and_(col(TagTodo.user_id) == col(Tag.user_id), col(TagTodo.tag_id) == col(Tag.id)))
        .where(OF_TODO, col(TagTodo.tag_id) < param("before"), col(Tag.id) < param("before"))
        .order_by(col(TagTodo.tag_id).desc())
        .limit(param("limit"))
    )
    retrieve_tag = select(Tag).where(TAG)
    update_tag = update(Tag).where(TAG).values(name=param("name", else_=col(Tag.name))).returning(Tag)
    delete_tag = delete(Tag).where(TAG).returning(col(Tag.id))
    list_tagged_todos = (
        select(Todo)
        .join(TagTodo, and_(col(TagTodo.user_id) == col(Todo.user_id), col(TagTodo.todo_id) == col(Todo.id)))
        .where(OF_TAG, col(TagTodo.todo_id) < param("before"), col(Todo.id) < param("before"))
        .order_by(col(TagTodo.todo_id).desc())
        .limit(param("limit"))
    )
    # A row that is there is written anew, since DO NOTHING returns none: as if the tag or the todo were missing.
    attach_tag = _attached.on_conflict_do_update(
        index_elements=["user_id", "tag_id", "todo_id"], set_={"tag_id": _attached.excluded.tag_id}
    ).returning(col(TagTodo.id))
    detach_tag = delete(TagTodo).where(OF_TAG, OF_TODO).returning(col(TagTodo.id))
