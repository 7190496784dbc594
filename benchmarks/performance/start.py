"""How long the service takes from the start of its process to its first answer, with ten plugins.

Beside it: the tutorial way with ten more features, each a module of its own, and the imports of both alone.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from performance import process
from performance.contestants import PEERS, environment, uvicorn
from performance.databases import migrated
from performance.ports import free_port
from performance.results import Start
from performance.rounds import PATH, Entrant
from performance.rows import READING
from performance.server import PEERS_TABLE, Server, execute
from performance.work import ONE, Setup
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


def write_features(folder: Path) -> str:
    """Write the tutorial's todos ten times more, under other names, and return the app that has all of them."""
    package = folder / "features"
    package.mkdir()
    todos, schemas = ((PEERS / file).read_text() for file in ("tutorial.py", "schemas.py"))
    todos = todos.replace("app = FastAPI()", "router = APIRouter()").replace("@app.", "@router.")
    todos = todos.replace("import FastAPI", "import APIRouter")
    for name in PLUGINS:
        own = todos.replace("performance.peers.schemas", f"features.{name}_schemas")
        for file, text in ((f"{name}.py", own), (f"{name}_schemas.py", schemas)):
            (package / file).write_text(text.replace("todos", name).replace("Todo", name.capitalize()))
    included = [f"from features.{name} import router as {name}\napp.include_router({name})\n" for name in PLUGINS]
    (package / "all.py").write_text("".join(["from performance.peers.tutorial import app\n", *included]))
    return "features.all:app"


def measured(server: Server, entrant: Entrant, say: Callable[[str], None], *, times: int) -> Start:
    """Start the service, the tutorial way and a Python that only imports, in turn, and measure each."""
    folder = entrant.folder / "plugins"
    folder.mkdir()
    site = install(folder)
    tutorial = uvicorn(write_features(folder))
    url = server.create_database("peer_features")
    execute(url, PEERS_TABLE)
    with migrated(server) as owner_url:
        variables = environment(ONE, 0, owner_url, None)
        variables["PYTHONPATH"] = os.pathsep.join([str(site), str(folder), variables["PYTHONPATH"]])
        upgrade = [str(Path(sys.executable).with_name("todoservice")), "db", "upgrade"]
        subprocess.run(upgrade, env=variables, check=True, stdout=subprocess.DEVNULL)
        variables |= {
            "NEON_DATABASE_URL": login_url(owner_url), "TODOSERVICE_REQUIRE_ISOLATION": "true", "DATABASE_URL": url
        }  # fmt: skip
        found = Start(plugins=len(PLUGINS), service=[], tutorial=[], imports=[])
        for number in range(times + 1):
            service = _answered(entrant.contestant.command, variables, folder)
            plain, imports = _answered(tutorial, variables, folder), _imports(variables)
            if number:  # the first one writes and reads what the others find ready
                found.service.append(service)
                found.tutorial.append(plain)
                found.imports.append(imports)
                say(f"start: {service:.2f} s, {plain:.2f} s the tutorial way, and {imports:.2f} s")
        return found


def _answered(serve: Callable[[int, Setup], list[str]], variables: dict[str, str], folder: Path) -> float:
    port = free_port()
    command = serve(port, ONE)
    began = time.perf_counter()
    with process.started(command, variables, folder, port, f"{PATH}?limit=1", READING[0], pause=0.002):
        return time.perf_counter() - began


def _imports(variables: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], env=variables, check=True)
    return time.perf_counter() - began
