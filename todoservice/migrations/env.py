"""What Alembic runs for each plugin: the runner hands over its connection, in its transaction."""

from alembic import context

from todoservice.migrations import transaction

context.configure(**context.config.attributes["options"])
setattr(context.get_context(), "autocommit_block", transaction.refuse)  # noqa: B010 - mypy lets no method be assigned
context.run_migrations()
