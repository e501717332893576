"""What `wardpost doctor` says of the way to Kafka: who can read along, and whether anybody is there."""

from datetime import date
from pathlib import Path

from exchange.cli.doctor import look_at
from exchange.config import load_settings
from tests.service_kit import free_port


def unsafe(tmp_path: Path, servers: str, **more: str) -> str:
    settings = load_settings({"WARDPOST_DATA": str(tmp_path / "data"), "WARDPOST_KAFKA": servers, **more})
    return "\n".join(note.words for note in look_at(settings, date(2026, 11, 25)) if note.is_unsafe)


def test_an_open_way_to_kafka_and_one_that_leads_nowhere_are_named(tmp_path: Path) -> None:
    said = unsafe(tmp_path, f"kafka.test.invalid:{free_port()}")
    assert "The way to Kafka at kafka.test.invalid is open to its network. Set WARDPOST_KAFKA_CA_FILE and WARDPOST_KAFKA_USER." in said
    here = unsafe(tmp_path, f"127.0.0.1:{free_port()}")
    assert "open to its network" not in here
    assert "The Kafka brokers did not answer." in here


def test_a_password_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    there = {"WARDPOST_KAFKA_USER": "wardpost", "WARDPOST_KAFKA_PASSWORD_FILE": str(tmp_path / "no")}
    missing = unsafe(tmp_path, f"127.0.0.1:{free_port()}", **there)
    assert "Check WARDPOST_KAFKA_PASSWORD_FILE." in missing
