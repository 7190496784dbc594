"""Users, who own rows, and the function that asks whether there is such a user."""

import sqlalchemy as sa
from alembic import op

revision = "0001_users"
down_revision = None

REQUIRE_USER = """
CREATE FUNCTION todoservice.require_user(id uuid) RETURNS void
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM todoservice.users AS known WHERE known.id = require_user.id) THEN
        RAISE EXCEPTION 'there is no such user' USING ERRCODE = 'TS403';
    END IF;
END
$$
"""


def upgrade() -> None:
    """Make both."""
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        schema="todoservice",
    )
    op.execute(REQUIRE_USER)


def downgrade() -> None:
    """Drop both."""
    op.execute("DROP FUNCTION todoservice.require_user(uuid)")
    op.drop_table("users", schema="todoservice")
