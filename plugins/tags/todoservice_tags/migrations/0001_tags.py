"""Tags, and which todos have them."""

import sqlalchemy as sa
from alembic import op

revision = "0001_tags"
down_revision = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "tags",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("char_length(name) BETWEEN 1 AND 64", name=op.f("ck_tags_name_length")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["todoservice.users.id"], name=op.f("fk_tags_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "id", name=op.f("pk_tags")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_tags_user_id_name")),
        schema="todoservice",
    )
    op.create_table(
        "tags_todos",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tag_id", sa.Uuid(), nullable=False),
        sa.Column("todo_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id", "tag_id"],
            ["todoservice.tags.user_id", "todoservice.tags.id"],
            name=op.f("fk_tags_todos_user_id_tag_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id", "todo_id"],
            ["todoservice.todos.user_id", "todoservice.todos.id"],
            name=op.f("fk_tags_todos_user_id_todo_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["todoservice.users.id"], name=op.f("fk_tags_todos_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "id", name=op.f("pk_tags_todos")),
        sa.UniqueConstraint("user_id", "tag_id", "todo_id", name=op.f("uq_tags_todos_user_id_tag_id_todo_id")),
        schema="todoservice",
    )
    op.create_index(
        op.f("ix_tags_todos_user_id_todo_id_tag_id"),
        "tags_todos",
        ["user_id", "todo_id", "tag_id"],
        unique=False,
        schema="todoservice",
    )


def downgrade() -> None:
    """Drop both tables."""
    op.drop_index(op.f("ix_tags_todos_user_id_todo_id_tag_id"), table_name="tags_todos", schema="todoservice")
    op.drop_table("tags_todos", schema="todoservice")
    op.drop_table("tags", schema="todoservice")
