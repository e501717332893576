"""Genuine Apache Kafka for tests that are marked `services`: started once a session from docker/local/kafka.sh, stopped at its end."""

import os
import signal
import subprocess
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from exchange.bus.kafka import KafkaAccess, KafkaBus
from exchange.ports import BusMessage
from tests.service_kit import wait_until

SCRIPT = Path(__file__).parents[1] / "docker" / "local" / "kafka.sh"
# kafka.sh exits with it when Java or Maven's jars cannot be had; tests/conftest.py lists the reason.
ABSENT = 3


@dataclass
class Brokers:
    """A cluster in a folder; `servers` is what WARDPOST_KAFKA takes. `secure`: clients need TLS and a login."""

    folder: Path
    count: int = 1
    servers: str = ""
    secure: bool = False

    def start(self) -> None:
        command = [SCRIPT, "start", self.folder, str(self.count), *["secure"] * self.secure]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        if done.returncode == ABSENT:
            pytest.skip("Maven or Java is not here: Apache Kafka cannot be started")
        assert done.returncode == 0, done.stderr
        self.servers = done.stdout.strip()

    def stop(self) -> None:
        subprocess.run([SCRIPT, "stop", self.folder], check=True, timeout=120)

    def signal(self, how: signal.Signals, *brokers: int) -> None:
        for broker in brokers or range(1, self.count + 1):
            os.kill(int((self.folder / str(broker) / "pid").read_text()), how)

    def bus(self, topic: str = "", **more: float) -> KafkaBus:
        """A bus over a topic of its own, unless one is named."""
        return KafkaBus(KafkaAccess(self.servers), topic=topic or f"wardpost.test.{uuid.uuid4().hex}", **more)  # type: ignore[arg-type]


def read_all(fetch: Callable[[], Sequence[BusMessage]], count: int, seconds: float = 30) -> list[BusMessage]:
    """Fetch until so many have come. Kafka gives nothing while a group still gathers."""
    found: list[BusMessage] = []

    def enough() -> bool:
        found.extend(fetch())
        return len(found) >= count

    wait_until(enough, f"{count} messages", seconds)
    return found
