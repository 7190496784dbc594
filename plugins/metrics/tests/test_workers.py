"""Several workers of one service, as `uvicorn --workers` starts them."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from scraping import PATH, TOKEN, read

PATIENCE = 60.0
"""Seconds for the workers to start."""


@pytest.fixture
def base(todoservice_url: str, tmp_path: Path) -> Iterator[str]:
    """Return the URL of a service with two workers, that share a directory for their meters."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    variables = {
        "NEON_DATABASE_URL": todoservice_url, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "TODOSERVICE_METRICS__TOKEN": TOKEN, "TODOSERVICE_ONLY": "metrics,todos",
    }  # fmt: skip
    command = (sys.executable, "-m", "uvicorn", "todoservice:create_app", "--factory", "--workers", "2")
    with subprocess.Popen([*command, "--port", str(port)], env=os.environ | variables) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline:
                with suppress(httpx2.TransportError):
                    if len(list(tmp_path.glob("gauge_max_*.db"))) == 2 and httpx2.get(f"{base}/readyz").is_success:
                        break
                time.sleep(0.1)
            yield base
        finally:
            process.terminate()


def test_a_scrape_reads_them_all(base: str) -> None:
    """Whichever worker it meets, and whichever answered."""
    for _ in range(30):
        httpx2.get(f"{base}/healthz")  # each on a connection of its own, so that both take some
    labels = frozenset({"method": "GET", "route": "/healthz", "status": "200"}.items())
    for _ in range(6):
        text = httpx2.get(base + PATH, headers={"Authorization": f"Bearer {TOKEN}"}).text
        assert read(text)[("todoservice_http_requests_total", labels)] == 30
