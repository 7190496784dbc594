"""TLS: the server is verified by its name, though libpq is given its address."""

import asyncio
import ssl
from pathlib import Path
from unittest import mock

import pytest
import trustme
from asking import Run, backend, opened, resolve
from edge import Edge
from sqlalchemy import URL
from sqlalchemy.exc import OperationalError


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a certificate authority."""
    return trustme.CA()


def certified(authority: trustme.CA, host: str) -> ssl.SSLContext:
    """Return the TLS side of a server that has a certificate for a host."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host).configure_cert(context)
    return context


async def ask_over_tls(edge: Edge, authority: trustme.CA, folder: Path) -> None:
    """Make a query over TLS, trusting one authority, of a server that is to be `db.test`."""
    authority.cert_pem.write_to_path(folder / "ca.pem")
    url = edge.url(sslmode="verify-full", sslrootcert=str(folder / "ca.pem")).set(host="db.test")
    found = resolve({"db.test": ["127.0.0.1"]})
    with mock.patch.object(asyncio.get_running_loop(), "getaddrinfo", found):
        async with opened(url) as pool:
            process = await backend(pool)
            for _ in range(20):
                assert await backend(pool) == process


def test_tls(run: Run, url: URL, authority: trustme.CA, tmp_path: Path) -> None:
    """TLS is verified against the host's name, which the server is told, though libpq is given its address."""
    with Edge(url, certified(authority, "db.test")) as edge:
        run(ask_over_tls(edge, authority, tmp_path))
        assert edge.names == ["db.test"]


def test_tls_of_a_stranger(run: Run, url: URL, authority: trustme.CA, tmp_path: Path) -> None:
    """A certificate of another authority is refused."""
    with (
        Edge(url, certified(trustme.CA(), "db.test")) as edge,
        pytest.raises(OperationalError, match="certificate verify failed"),
    ):
        run(ask_over_tls(edge, authority, tmp_path))


def test_tls_of_another_host(run: Run, url: URL, authority: trustme.CA, tmp_path: Path) -> None:
    """A certificate for another host is refused."""
    with (
        Edge(url, certified(authority, "other.test")) as edge,
        pytest.raises(OperationalError, match=r'does not match host name "db\.test"'),
    ):
        run(ask_over_tls(edge, authority, tmp_path))
