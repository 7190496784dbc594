"""Strangers' plugins that cannot work, each broken in its own way, and what an operator is told of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import wheel
from environment import STRANGER
from plugin_modules import FEATURE

# ruff: noqa: E501

HOOK = "from todoservice import hookimpl\n\n@hookimpl\ndef "
MODELS = f"{HOOK}todoservice_models(): return []\n"
HOST = "todoservice>=0.1,<0.2"
CIRCLE = "these need each other in a circle: egg -> hen -> egg: break it in one of them"


@dataclass(frozen=True)
class Broken:
    """The distribution `NAME-of-strangers` with the plugin NAME, unless `points` says otherwise."""

    told: tuple[str, ...]
    """The lines that the start is refused with: NAME stands for the plugin and where it came from."""
    source: str
    files: Mapping[str, str] = field(default_factory=dict)
    """What is in its package besides `source`."""
    points: Mapping[str, str] = field(default_factory=dict)
    requires: tuple[str, ...] = (HOST,)
    beside: Mapping[str, "Broken"] = field(default_factory=dict)
    """Further distributions, without which nothing is wrong."""

    def write(self, name: str, folder: Path) -> list[Path]:
        """Write its wheel, and those beside it."""
        others = [path for other, stranger in self.beside.items() for path in stranger.write(other, folder)]
        package = f"{name}_of_strangers"
        files = {f"{package}/{path}": text for path, text in {"__init__.py": self.source, **self.files}.items()}
        points = self.points or {name: package}
        return [wheel.write(folder, name + STRANGER, files, points=points, requires=self.requires), *others]

    def lines(self, name: str) -> list[str]:
        """Return the lines that are told of it."""
        own = [
            line.replace("NAME", f"{name} ({name}{STRANGER} 0.3)").replace("PACKAGE", f"{name}_of_strangers")
            for line in self.told
        ]
        return own + [line for other, stranger in self.beside.items() for line in stranger.lines(other)]


def feature(name: str, *changes: tuple[str, str]) -> str:
    """Return the source of a good feature with a table, in which each of these texts stands in the place of another."""
    text = FEATURE.format(name=name, model=name.title())
    for good, bad in changes:
        assert good in text, good
        text = text.replace(good, bad)
    return text


def migrations(name: str) -> dict[str, str]:
    """Return that feature's migrations."""
    return {f"migrations/0001_{name}.py": wheel.migration(name, 'sa.Column("text", sa.String(100), nullable=False)')}


def altered(told: str, name: str, *changes: tuple[str, str]) -> Broken:
    """Return a feature with a table and its migrations, in which these texts were changed."""
    return Broken((told,), feature(name, *changes), migrations(name))


ROUTER = "from fastapi import APIRouter\nfrom todoservice import hookimpl\nrouter = APIRouter()\n"
ROUTED = "@hookimpl\ndef todoservice_router(): return router\n"
SETTINGS = (
    "from pydantic import BaseModel, SecretStr\n\nclass Given(BaseModel):\n    token: SecretStr\n    size: int = 1\n"
)
SECOND = (
    wheel.migration("heads")
    .replace("0001_heads", "0002_heads")
    .replace('create_table(\n        "heads"', 'create_table(\n        "heads_b"')
)

BROKEN: dict[str, Broken] = {
    "absent": Broken(
        (
            "P101 NAME: PACKAGE cannot be imported: ModuleNotFoundError: No module named 'requests_of_nobody' "
            "(__init__.py:1): mend it, or set TODOSERVICE_BLOCK=absent",
        ),
        "import requests_of_nobody\n",
    ),
    "syntax": Broken(("P101 NAME: PACKAGE cannot be imported: SyntaxError: ",), "def broken(:\n"),
    "exits": Broken(
        ("P101 NAME: PACKAGE cannot be imported: SystemExit: bye (__init__.py:1): mend it, or set TODOSERVICE_BLOCK=exits",),
        "raise SystemExit('bye')\n",
    ),
    "secret": Broken(
        ("P101 NAME: PACKAGE cannot be imported: RuntimeError: no answer from ",),
        "import os\nraise RuntimeError('no answer from ' + os.environ['NEON_DATABASE_URL'])\n",
    ),
    "older": Broken(
        (
            "P101 NAME: PACKAGE cannot be imported: ImportError: cannot import name 'Session' from 'todoservice' (",
        ),
        "from todoservice import Session\n",
    ),
    "unshipped": Broken(
        ("P101 NAME: no_such_package cannot be imported: ModuleNotFoundError: No module named 'no_such_package': mend it, or set TODOSERVICE_BLOCK=unshipped",),
        "", points={"unshipped": "no_such_package"},
    ),
    "object": Broken(
        ('P101 NAME: its entry point object_of_strangers:plugin is no module: write object = "object_of_strangers"',),
        "plugin = object()\n", points={"object": "object_of_strangers:plugin"},
    ),
    "response": Broken(
        ("P101 NAME: PACKAGE cannot be imported: FastAPIError: Invalid args for response field!",),
        ROUTER + "class Odd: ...\n@router.get('', response_model=Odd)\ndef look(): ...\n" + ROUTED,
    ),
    "claim": Broken(
        ("P102 twin: claim-of-strangers 0.3 and twin-of-strangers 0.3 both claim this name: uninstall one of them",),
        MODELS, points={"twin": "claim_of_strangers"}, beside={"twin": Broken((), MODELS)},
    ),
    "aliased": Broken(
        ("P102 other_name (aliased-of-strangers 0.3): its module PACKAGE is that of aliased too: give it one entry point",),
        MODELS, points={"aliased": "aliased_of_strangers", "other_name": "aliased_of_strangers"},
    ),
    "needy": Broken(
        ("P103 NAME: it requires nothing-of-the-kind>=2, which is not installed: install nothing-of-the-kind>=2",),
        "1 / 0\n", requires=(HOST, "nothing-of-the-kind>=2"),
    ),
    "future": Broken(
        ("P103 NAME: it requires todoservice>=99, and 0.1.0 is installed: install a version of it that is made for this host, or todoservice>=99",),
        "1 / 0\n", requires=("todoservice>=99",),
    ),
    "named": Broken(
        ("P105 Bad-Name (named-of-strangers 0.3): the name 'Bad-Name' is not lower-case letters and digits, at most 39, in words joined by single underscores: give its entry point another",),
        MODELS, points={"Bad-Name": "named_of_strangers"},
    ),
    "reserved": Broken(
        ("P105 users (reserved-of-strangers 0.3): the name 'users' is reserved: give its entry point another",),
        MODELS, points={"users": "reserved_of_strangers"},
    ),
    "orphan": altered(
        "P106 NAME: it needs nowhere, which is not there: install the distribution that brings it",
        "orphan",
        ("    text: str", '    other_id: UUID\n    text: str'),
        ("from datetime", "from uuid import UUID\nfrom sqlalchemy import ForeignKeyConstraint\nfrom datetime"),
        (
            '    __tablename__ = "orphan"\n',
            '    __tablename__ = "orphan"\n    __table_args__ = (ForeignKeyConstraint(["user_id", "other_id"], '
            '["todoservice.nowhere.user_id", "todoservice.nowhere.id"]),)\n',
        ),
    ),
    "egg": Broken(
        (f"P107 NAME: {CIRCLE}",), MODELS, requires=(HOST, f"hen{STRANGER}"),
        beside={"hen": Broken((f"P107 NAME: {CIRCLE}",), MODELS, requires=(HOST, f"egg{STRANGER}"))},
    ),
    "typo": Broken(
        ("P201 NAME: todoservice_modles is no hook: did you mean todoservice_models?",), f"{HOOK}todoservice_modles(): return []\n"
    ),
    "hookless": Broken(
        ("P202 NAME: PACKAGE implements no hook: import hookimpl from todoservice, and see todoservice.hookspecs",), "x = 1\n"
    ),
    "unmarked": Broken(
        ("P203 NAME: todoservice_models is not marked: write @hookimpl above it",), "def todoservice_models(): return []\n"
    ),
    "argument": Broken(
        ("P204 NAME: todoservice_router has the argument 'database': the hook gives settings",), f"{HOOK}todoservice_router(database): ...\n"
    ),
    "raising": Broken(
        ("P205 NAME: todoservice_models raised KeyError: 'oops' (__init__.py:5): mend it",), f"{HOOK}todoservice_models():\n    raise KeyError('oops')\n"
    ),
    "returning": Broken(
        ("P206 NAME: todoservice_router returned 3: return an APIRouter",), f"{HOOK}todoservice_router(): return 3\n"
    ),
    "coroutine": Broken(
        ("P206 NAME: todoservice_models is async: write it with def, and return a list of table classes",), MODELS.replace("def", "async def")
    ),
    "tableless": altered("P301 NAME: <class 'tableless_of_strangers.Tableless'> is not a table class: derive it from Owned or Shared, with table=True", "tableless", ("(Owned, table=True)", "(Owned)"), ("insert(Row).returning(Row)", "select(1)"), ("select(Row)", "select(1)")),
    "foreign": altered(
        "P302 NAME: Foreign has the table strange: name it foreign or foreign_something", "foreign", ('__tablename__ = "foreign"', '__tablename__ = "strange"')
    ),
    "keyless": altered(
        "P303 NAME: Keyless has uq_keyless_text, unique over all users, which tells one what another has: add user_id to it as a plain column, compared by =",
        "keyless",
        ("from datetime", "from sqlalchemy import UniqueConstraint\nfrom datetime"),
        ('= "keyless"\n    text', '= "keyless"\n    __table_args__ = (UniqueConstraint("text"),)\n    text'),
    ),
    "unmigrated": Broken(
        ("P304 NAME: it has models and no migrations: its distribution was built without PACKAGE/migrations: tell its author",), feature("unmigrated")
    ),
    "heads": Broken(
        ("P305 NAME: 0001_heads.py and 0002_heads.py are both last: set the down_revision of one to the revision of the other",),
        feature("heads"), {**migrations("heads"), "migrations/0002_heads.py": SECOND},
    ),
    "clash": Broken(
        ("P306 NAME: GET /api/v1/clash/{b} is taken by its GET /api/v1/clash/{a}: give one of them another path",),
        ROUTER + "@router.get('/{a}')\ndef one(a): ...\n@router.get('/{b}')\ndef two(b): ...\n" + ROUTED,
    ),
    "socket": Broken(
        ("P306 NAME: /api/v1/socket/live is a APIWebSocketRoute, before which nobody asks who is asking: declare it with the methods of APIRouter, such as @router.get",),
        ROUTER + "from fastapi import WebSocket\n@router.websocket('/live')\nasync def live(socket: WebSocket): ...\n" + ROUTED,
    ),
    "homonym": Broken(
        ("P307 NAME: the operation list_todos is named as one of todos (todoservice 0.1.0): rename its function",),
        ROUTER + "@router.get('')\ndef list_todos(): ...\n" + ROUTED,
    ),
    "unscoped": altered(
        "P308 NAME: unscoped.rows: the statement reaches todoservice.unscoped without its user: add unscoped.user_id = :me to the WHERE", "unscoped", ("from sqlmodel", "from sqlalchemy import text as sql\nfrom sqlmodel"), ("select(Row)", 'sql("SELECT * FROM todoservice.unscoped")')
    ),
    "thief": Broken(
        (
            "P302 NAME: Theft has the table todos: name it thief or thief_something",
            "P302 NAME: Theft has the table todos, which todos (todoservice 0.1.0) has too: rename one of them",
            "P304 NAME: it has models and no migrations: its distribution was built without PACKAGE/migrations: tell its author",
        ),
        "from todoservice import Owned, hookimpl\n\nclass Theft(Owned, table=True):\n    __tablename__ = 'todos'\n    __table_args__ = {'extend_existing': True}\n\n"
        "@hookimpl\ndef todoservice_models(): return [Theft]\n",
    ),
    "plagiarist": altered("P302 NAME: it has the table todoservice.todos, which todoservice_todos has already: name it plagiarist or plagiarist_something", "plagiarist", ('__tablename__ = "plagiarist"', '__tablename__ = "todos"')),
    "related": altered(
        "P301 NAME: Related cannot be mapped: InvalidRequestError: When initializing mapper Mapper[Related(related)], "
        "expression 'Nobody' failed to locate a name ('Nobody').", "related",
        ("from sqlmodel import Field", "from sqlmodel import Field, Relationship"),
        ("    text: str", '    friends: list["Nobody"] = Relationship()\n    text: str'),
    ),
    "unset": Broken(
        ("P309 NAME: TODOSERVICE_UNSET__TOKEN: Field required: set it",), f"{SETTINGS}{HOOK}todoservice_settings(): return Given\n"
    ),
    "tattling": Broken(
        ("P309 NAME: TODOSERVICE_TATTLING__TOKEN: *** is no token: change it",),
        SETTINGS + "from pydantic import field_validator\n\nclass Tattling(Given):\n    @field_validator('token')\n    @classmethod\n"
        "    def readable(cls, value):\n        raise ValueError(f'{value.get_secret_value()} is no token')\n"
        f"{HOOK}todoservice_settings(): return Tattling\n",
    ),
    "misset": Broken(
        ("P309 NAME: TODOSERVICE_MISSET__SIZE: Input should be a valid integer, unable to parse string as an integer: change it",), f"{SETTINGS}{HOOK}todoservice_settings(): return Given\n"
    ),
}  # fmt: skip
