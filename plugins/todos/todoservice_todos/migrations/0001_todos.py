"""Todos."""

import sqlalchemy as sa
from alembic import op

revision = "0001_todos"
down_revision = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "todos",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=2000), nullable=True),
        sa.Column("is_completed", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("char_length(title) BETWEEN 1 AND 255", name=op.f("ck_todos_title_length")),
        sa.CheckConstraint("char_length(description) <= 2000", name=op.f("ck_todos_description_length")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["todoservice.users.id"], name=op.f("fk_todos_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "id", name=op.f("pk_todos")),
        schema="todoservice",
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("todos", schema="todoservice")
