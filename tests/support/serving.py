"""The service in a process of its own, as uvicorn serves it."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

COMMAND = ("todoservice:create_app", "--factory")


@contextmanager
def serving(*options: str, port: int, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run uvicorn with `options` on `port` for the block, from a folder where there is no checkout to import."""
    command = [sys.executable, "-m", "uvicorn", *options, "--port", str(port)]
    with subprocess.Popen(
        command, env=os.environ | environment, cwd=Path(sys.executable).parent, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def wait_until_ready(port: int) -> None:
    """Wait until the service says that it can serve."""
    for _ in range(600):
        try:
            httpx2.get(f"http://127.0.0.1:{port}/readyz").raise_for_status()
        except httpx2.HTTPError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the server did not come up")


def curl(command: str) -> httpx2.Response:
    """Do what this curl command does, with the options that the documents use, and return the response."""
    method, headers, body, url = "GET", {}, None, ""
    words = iter(shlex.split(command)[1:])
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "--json":
            body, method = next(words), "POST" if method == "GET" else method
            headers["Content-Type"] = "application/json"
        else:
            url = word
    return httpx2.request(method, url, headers=headers, content=body)
