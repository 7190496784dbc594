"""The engine: what it tells libpq, and what it shows."""

import asyncio
from typing import Any

import pytest
from asking import Run, ask, opened, raw, work
from edge import Edge
from sqlalchemy import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from todoservice.database.engine import build_engine


async def told(url: URL, **options: Any) -> dict[str, str]:
    """Return the parameters of a new connection."""
    async with opened(url, **options) as pool:
        return await work(pool, lambda connection: raw(connection).info.dsn_parameters)


def test_parameters(url: URL) -> None:
    """A connection watches its peer, speaks UTF-8, and sends none of the options that poolers refuse."""
    parameters = asyncio.run(told(url))
    assert parameters["keepalives_idle"] == "30"
    assert parameters["tcp_user_timeout"] == "15000"
    assert parameters["client_encoding"] == "utf8"
    assert parameters["application_name"] == "todoservice"
    assert parameters["options"] == ""


def test_parameters_of_the_url(url: URL) -> None:
    """What the URL says wins over what we would."""
    query = {
        "application_name": "theirs",
        "tcp_user_timeout": "0",
        "options": "-c work_mem=1MB",
        "connect_timeout": "7",
    }
    parameters = asyncio.run(told(url.update_query_dict(query)))
    assert query.items() <= parameters.items()


def test_parameters_made_late(url: URL) -> None:
    """Parameters that are known only when a connection is made are asked for at each, and win over the URL's."""
    names = iter(["first", "second"])

    async def main() -> None:
        nowhere = url.set(host="127.0.0.1", port=1, query={})
        place = {"host": url.host, "port": url.port, **url.query}

        def late() -> dict[str, Any]:
            return {**{name: value for name, value in place.items() if value}, "application_name": next(names)}

        async with opened(nowhere, pool_size=1, connect_args=late) as pool:
            assert await ask(pool, "SELECT current_setting('application_name')") == ("first",)
            assert await ask(pool, "SELECT current_setting('application_name')") == ("first",)
            pool.close()
            pool.open()
            assert await ask(pool, "SELECT current_setting('application_name')") == ("second",)

    asyncio.run(main())


def test_time_limit_of_the_url(run: Run, edge: Edge) -> None:
    """The URL's connect_timeout, in seconds, is the one that holds."""
    edge.stalled = True

    async def main() -> None:
        async with opened(edge.url(connect_timeout="0.2"), connect_timeout=60) as pool:
            with pytest.raises(OperationalError, match=r"timeout expired after 0.2 s"):
                await ask(pool, "SELECT 1")

    run(main())


@pytest.mark.parametrize("value", ["soon", "10s"])
def test_time_limit_that_is_no_number(url: URL, value: str) -> None:
    """A connect_timeout that is no number stops the start, in words that say what to write."""
    with pytest.raises(ArgumentError, match="connect_timeout=10"):
        build_engine(url.update_query_dict({"connect_timeout": value}))


def test_password_stays_hidden(url: URL) -> None:
    """Neither the engine nor its URL shows the password."""
    engine = build_engine(url.set(password="pass-word"))
    assert "pass-word" not in f"{engine!r} {engine.url} {engine.sync_engine.pool!r}"


def test_values_stay_hidden(url: URL) -> None:
    """A failed statement's error shows its text, and none of the values that came with it."""

    async def main() -> None:
        async with opened(url) as pool:
            with pytest.raises(DBAPIError) as caught:
                await ask(pool, "SELECT length(CAST(:word AS text)) / 0", word="pass-word")
            assert "pass-word" not in str(caught.value)

    asyncio.run(main())
