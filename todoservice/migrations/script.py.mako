<%!
import re


def tidy(code):
    """Leave out Alembic's remarks."""
    return "\n".join(line for line in (code or "pass").splitlines() if not line.lstrip().startswith("# ###"))


def quoted(message):
    return message.strip().rstrip(".").replace("\\", "\\\\").replace('"', '\\"')
%>\
<%
up, down = tidy(upgrades), tidy(downgrades)
%>\
"""${message | quoted}."""

% if re.search(r"\bsa\.", up + down):
import sqlalchemy as sa
% endif
from alembic import op
% if imports:
${imports}
% endif

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Run it."""
    ${up.strip()}


def downgrade() -> None:
    """Take it back."""
    ${down.strip()}
