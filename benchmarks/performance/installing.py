"""What the benchmark needs that is not a Python package: wrk, from Debian, and Node's packages."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from performance.contestants import PEERS


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


def install_fastify(folder: Path) -> None:
    """Put the Fastify peer with its packages into a folder. Raises SystemExit, with what to do, where it cannot."""
    if not (shutil.which("node") and shutil.which("npm")):
        msg = (
            "Node 20 or later and npm are not installed: install them (Debian: nodejs, npm), or leave "
            "fastify out with --contestants"
        )
        raise SystemExit(msg)
    for name in ("package.json", "server.js"):
        shutil.copy(PEERS / "fastify" / name, folder)
    command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel", "error"]
    if subprocess.run(command, cwd=folder, check=False).returncode:
        msg = (
            "npm could not install the packages of the Fastify peer: see above, or leave fastify out with --contestants"
        )
        raise SystemExit(msg)


def version_of(folder: Path, package: str) -> str:
    """Return the version of a Node package."""
    return str(json.loads((folder / "node_modules" / package / "package.json").read_text())["version"])
