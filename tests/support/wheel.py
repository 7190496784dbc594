"""Wheels of strangers' plugins, written as a build backend writes them (the binary distribution format of PyPA)."""

from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

METADATA = "Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: a stranger's\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
MIGRATION = '''"""{name}."""

import sqlalchemy as sa
from alembic import op

revision = "0001_{name}"
down_revision = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "{name}",
        sa.Column("user_id", sa.Uuid(), primary_key=True),
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.ForeignKeyConstraint(["user_id"], ["todoservice.users.id"], ondelete="CASCADE"),
{columns}
        schema="todoservice",
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("{name}", schema="todoservice")
'''


def migration(name: str, *columns: str) -> str:
    """Return the first revision of a plugin: it makes the owned table `name`, with these columns and constraints."""
    return MIGRATION.format(name=name, columns="".join(f"        {column},\n" for column in columns).rstrip("\n"))


def write(
    folder: Path,
    distribution: str,
    files: Mapping[str, str],
    *,
    version: str = "0.3",
    points: Mapping[str, str],
    requires: tuple[str, ...] = (),
) -> Path:
    """Write a wheel with these files, by their paths, and entry points, and return its path."""
    module = distribution.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    lines = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    contents = {
        **files,
        f"{info}/METADATA": METADATA.format(name=distribution, version=version) + lines,
        f"{info}/WHEEL": WHEEL,
        f"{info}/entry_points.txt": "[todoservice]\n" + "".join(f"{name} = {to}\n" for name, to in points.items()),
    }
    record = f"{info}/RECORD"
    wheel = folder / f"{module}-{version}-py3-none-any.whl"
    with ZipFile(wheel, "w") as archive:
        for path, text in {**contents, record: "".join(f"{path},,\n" for path in [*contents, record])}.items():
            archive.writestr(path, text)
    return wheel
