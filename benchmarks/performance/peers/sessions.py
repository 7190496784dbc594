"""The session of the tutorials of FastAPI and SQLModel, as a dependency."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends
from sqlalchemy import make_url
from sqlmodel import Session, create_engine

from performance.peers.settings import CONNECTIONS, DATABASE_URL

engine = create_engine(
    make_url(DATABASE_URL).set(drivername="postgresql+psycopg2"),
    pool_pre_ping=True, pool_size=CONNECTIONS, max_overflow=0,
)  # fmt: skip


def get_session() -> Iterator[Session]:
    """Give a handler its session."""
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]
