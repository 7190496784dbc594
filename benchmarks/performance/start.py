"""How long the service takes from the start of its process to its first answer, with ten plugins."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from performance import process
from performance.contestants import environment
from performance.databases import migrated
from performance.ports import free_port
from performance.results import Start
from performance.rounds import PATH, Entrant
from performance.rows import READING
from performance.server import Server
from performance.work import ONE
from todoservice import scaffold
from todoservice.testing.databases import login_url

PLUGINS: Final = (
    "albums", "books", "chores", "drafts", "events", "feeds", "goals", "habits", "ideas", "journals",
)  # fmt: skip
IMPORTS: Final = "import fastapi, sqlmodel"


def install(folder: Path) -> Path:
    """Write ten plugins as `todoservice plugins new` does, install them into a folder, and return that."""
    for name in PLUGINS:
        scaffold.write(name, folder)
    site = folder / "site"
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--target", str(site)]
    subprocess.run([*uv, *(str(folder / f"todoservice-{name}") for name in PLUGINS)], check=True)
    return site


def measured(server: Server, entrant: Entrant, say: Callable[[str], None], *, times: int) -> Start:
    """Start the service and a Python that only imports, in turn, and measure each."""
    folder = entrant.folder / "plugins"
    folder.mkdir()
    site = install(folder)
    with migrated(server) as url:
        variables = environment(ONE, 0, url, None)
        variables["PYTHONPATH"] = os.pathsep.join([str(site), variables["PYTHONPATH"]])
        upgrade = [str(Path(sys.executable).with_name("todoservice")), "db", "upgrade"]
        subprocess.run(upgrade, env=variables, check=True, stdout=subprocess.DEVNULL)
        variables |= {"NEON_DATABASE_URL": login_url(url), "TODOSERVICE_REQUIRE_ISOLATION": "true"}
        found = Start(plugins=len(PLUGINS), service=[], imports=[])
        for number in range(times + 1):
            service, imports = _service(entrant, variables, folder), _imports(variables)
            if number:  # the first one writes and reads what the others find ready
                found.service.append(service)
                found.imports.append(imports)
                say(f"start: {service:.2f} s, and {imports:.2f} s")
        return found


def _service(entrant: Entrant, variables: dict[str, str], folder: Path) -> float:
    port = free_port()
    command = entrant.contestant.command(port, ONE)
    began = time.perf_counter()
    with process.started(command, variables, folder, port, f"{PATH}?limit=1", READING[0], pause=0.002):
        return time.perf_counter() - began


def _imports(variables: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], env=variables, check=True)
    return time.perf_counter() - began
