"""What a demo of a larger deployment needs beside the program: PostgreSQL, Apache Kafka, without Docker, in a folder of its own."""

import shutil
import subprocess
import tempfile
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "docker" / "local"
# What each deployment starts; its processes are one per role, in the order in which they are started.
DEPLOYMENTS = {"embedded": (), "postgres": ("postgres",), "kafka": ("postgres", "kafka")}
ROLES = ("api", "intake", "worker", "relay", "clock")
_BROKERS = "3"


class NotHere(Exception):
    """Something that the deployment needs cannot be had on this machine."""


class Surroundings:
    """The servers of one deployment, from start to stop."""

    def __init__(self, deployment: str) -> None:
        self._wanted = DEPLOYMENTS[deployment]
        self._folder = Path(tempfile.mkdtemp(prefix="wardpost-servers-"))
        self._folder.chmod(0o755)  # PostgreSQL may run as a user of its own

    def start(self) -> dict[str, str]:
        """The settings that name them. Raises NotHere with the script's own words."""
        environ = {}
        if "postgres" in self._wanted:
            environ["WARDPOST_DATABASE"] = self._run("postgres", "start")
        if "kafka" in self._wanted:
            environ["WARDPOST_KAFKA"] = self._run("kafka", "start", _BROKERS)
        return environ

    def process_ids(self) -> list[int]:
        """Of the servers that run: each writes its own into its folder."""
        files = [*self._folder.glob("postgres/data/postmaster.pid"), *self._folder.glob("kafka/*/pid")]
        return [int(file.read_text().split()[0]) for file in files]

    def stop(self) -> None:
        for name in reversed(self._wanted):
            if (self._folder / name).exists():
                self._run(name, "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, name: str, command: str, *more: str) -> str:
        script = SCRIPTS / f"{name}.sh"
        if not script.exists():
            raise NotHere(f"{script} is not here: this demo runs from a checkout of the repository")
        done = subprocess.run([script, command, self._folder / name, *more], capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise NotHere(done.stderr.strip())
        return done.stdout.strip()
