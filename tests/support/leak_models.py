"""What the ways to leak are tried on: a feature, the same with keys that lack the owner, and what may be planted."""

from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Relationship

from todoservice import Owned, Queries

OWNERS: Final = {"users": "id", "todos": "user_id", "boxes": "user_id", "boxes_items": "user_id"}


class Item(Owned, table=True):
    """In a box."""

    __tablename__ = "boxes_items"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["user_id", "box_id"], ["todoservice.boxes.user_id", "todoservice.boxes.id"], ondelete="CASCADE"
        ),
    )
    box_id: UUID
    label: str
    # By the id alone, as somebody may write it who does not think of the owner.
    box: "Box" = Relationship(
        sa_relationship_kwargs={"primaryjoin": "foreign(Item.box_id) == Box.id", "viewonly": True},
    )


class Box(Owned, table=True):
    """Holds items."""

    __tablename__ = "boxes"
    __table_args__ = (sa.UniqueConstraint("user_id", "name"),)
    name: str
    items: list[Item] = Relationship(
        sa_relationship_kwargs={"primaryjoin": "foreign(Item.box_id) == Box.id", "viewonly": True, "uselist": True},
    )


def at(number: int) -> UUID:
    """Return an id by its number."""
    return UUID(int=number)


ME: Final = UUID("9f0c3ab2-1f5e-4c7e-9d2f-000000000001")
THEM: Final = UUID("9f0c3ab2-1f5e-4c7e-9d2f-000000000002")
IDS: Final = {
    "me": ME, "my_todo": at(1), "my_box": at(2), "my_item": at(3),
    "theirs": THEM, "their_todo": at(11), "their_box": at(12), "their_item": at(13),
}  # fmt: skip

LOOSE_TABLES: Final = """
CREATE TABLE public.loose (id uuid PRIMARY KEY, user_id uuid NOT NULL, name text NOT NULL UNIQUE);
CREATE TABLE public.loose_items (
    id uuid PRIMARY KEY, user_id uuid NOT NULL, box_id uuid NOT NULL REFERENCES public.loose (id) ON DELETE CASCADE
);
"""


def rows_of(user: UUID, word: str, first: int) -> str:
    """Return the statements that add a user's rows, of ids from `first` on."""
    return f"""
    INSERT INTO todoservice.users (id) VALUES ('{user}') ON CONFLICT DO NOTHING;
    INSERT INTO todoservice.todos (user_id, id, title, is_completed, created_at)
        VALUES ('{user}', '{at(first)}', '{word}', false, '2026-01-01');
    INSERT INTO todoservice.boxes (user_id, id, name) VALUES ('{user}', '{at(first + 1)}', '{word}');
    INSERT INTO todoservice.boxes_items (user_id, id, box_id, label)
        VALUES ('{user}', '{at(first + 2)}', '{at(first + 1)}', 'of {word}');
    INSERT INTO public.loose (id, user_id, name) VALUES ('{at(first + 1)}', '{user}', '{word}');
    INSERT INTO public.loose_items (id, user_id, box_id) VALUES ('{at(first + 2)}', '{user}', '{at(first + 1)}');
    """


EMPTY: Final = """
TRUNCATE todoservice.users, todoservice.todos, todoservice.boxes, todoservice.boxes_items, public.loose,
    public.loose_items;
DROP TABLE IF EXISTS public.copy;
"""
SNAPSHOT: Final = f"""
SELECT 'todo', t::text FROM todoservice.todos t WHERE user_id = '{THEM}'
UNION ALL SELECT 'box', b::text FROM todoservice.boxes b WHERE user_id = '{THEM}'
UNION ALL SELECT 'item', i::text FROM todoservice.boxes_items i WHERE user_id = '{THEM}'
UNION ALL SELECT 'loose', l::text FROM public.loose l WHERE user_id = '{THEM}' ORDER BY 1, 2
"""
"""Everything that is the victim's, as a superuser sees it."""

_APP: Final = 'GRANT ALL ON {} TO "{{app}}"'
DDL: Final = {
    "special": "CREATE TABLE todoservice.boxes_special (id uuid PRIMARY KEY, note text);"
    "INSERT INTO todoservice.boxes_special SELECT id, label FROM todoservice.boxes_items",
    "links": "CREATE TABLE todoservice.boxes_links (box_id uuid, todo_id uuid);"
    "INSERT INTO todoservice.boxes_links SELECT b.id, t.id FROM todoservice.boxes b JOIN todoservice.todos t "
    "USING (user_id)",
    "sequence": "CREATE SEQUENCE todoservice.numbers;SELECT nextval('todoservice.numbers') FROM todoservice.todos",
    "view": "CREATE VIEW todoservice.all_todos AS SELECT * FROM todoservice.todos;"
    + _APP.format("todoservice.all_todos"),
    "materialized view": "CREATE MATERIALIZED VIEW todoservice.kept_todos AS SELECT * FROM todoservice.todos;"
    + _APP.format("todoservice.kept_todos"),
    "definer": "CREATE FUNCTION todoservice.peek() RETURNS text LANGUAGE sql SECURITY DEFINER AS "
    "'SELECT string_agg(title, '','' ORDER BY title) FROM todoservice.todos';"
    'GRANT EXECUTE ON FUNCTION todoservice.peek() TO "{app}"',
    "child": "CREATE TABLE todoservice.todos_child () INHERITS (todoservice.todos);"
    "INSERT INTO todoservice.todos_child SELECT * FROM ONLY todoservice.todos;"
    + _APP.format("todoservice.todos_child"),
    "open": "ALTER TABLE todoservice.todos DISABLE ROW LEVEL SECURITY",
    "policy": "CREATE POLICY everyone ON todoservice.todos USING (true)",
    "setting": 'ALTER ROLE "{app}" SET search_path = public',
    "identity": "ALTER TABLE todoservice.boxes ADD number int GENERATED ALWAYS AS IDENTITY",
    "second key": "ALTER TABLE todoservice.boxes ADD friend uuid REFERENCES todoservice.users (id)",
    "expression": "CREATE UNIQUE INDEX ON todoservice.boxes (name, length(user_id::text))",
    "exclusion": "ALTER TABLE todoservice.boxes ADD CONSTRAINT apart EXCLUDE (name WITH =)",
    "trigger": "CREATE FUNCTION todoservice.watch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
    "CREATE TRIGGER watch BEFORE INSERT ON todoservice.boxes FOR EACH ROW EXECUTE FUNCTION todoservice.watch()",
    "hiding": "CREATE FUNCTION public.lower(varchar) RETURNS text LANGUAGE sql RETURN $1;"
    'GRANT EXECUTE ON FUNCTION public.lower(varchar) TO "{app}"',
    "rule": "CREATE RULE silent AS ON DELETE TO todoservice.boxes DO INSTEAD NOTHING",
    "row function": "CREATE FUNCTION public.peek(row_ record) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS "
    "'BEGIN RETURN (SELECT string_agg(title, '','' ORDER BY title) FROM todoservice.todos); END';"
    'GRANT EXECUTE ON FUNCTION public.peek(record) TO "{app}"',
}
"""What somebody with the owner's URL may do to a database; `{app}` is the service's role."""
LOOSE: Final = {
    "id": "CREATE UNIQUE INDEX ON todoservice.boxes (id)",
    "name": "CREATE UNIQUE INDEX ON todoservice.boxes (name)",
    "foreign key": "CREATE UNIQUE INDEX u ON todoservice.boxes (id); ALTER TABLE todoservice.boxes_items "
    "ADD CONSTRAINT by_id FOREIGN KEY (box_id) REFERENCES todoservice.boxes (id)",
}
"""Keys that lack the owner."""


class BoxQueries(Queries):
    """One statement, that two users share."""

    names = sa.select(Box.name).order_by(Box.name)  # type: ignore[call-overload]


MODELS: Final[list[Any]] = [Box, Item]
