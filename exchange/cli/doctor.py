"""What `wardpost doctor` looks at: settings and surroundings, each note with what to do."""

import importlib.util
import stat
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from exchange.config import LOOPBACK, Settings
from exchange.errors import Refused, WardpostError
from exchange.intake.tls import server_context
from exchange.model import Environment
from exchange.notices.smtp import mailer_of
from exchange.transfer.workdays import WARN_BEFORE, england


@dataclass(frozen=True, slots=True)
class Note:
    """One finding; `is_unsafe`: do not run with real people before it is mended."""

    is_unsafe: bool
    words: str


def look_at(settings: Settings, today: date) -> list[Note]:
    """Every note, the unsafe ones first. Reads no rows and needs no key."""
    notes: list[Note] = []
    if settings.environment is Environment.TRIAL:
        notes.append(Note(False, "This is a trial: test people only (NHS numbers from 999). Set WARDPOST_ENVIRONMENT=live to go live."))
    if settings.is_open_without_tls:
        step = "Set WARDPOST_TLS_CERT, or put TLS in front and set WARDPOST_BASE_URL=https://…"
        notes.append(Note(True, f"Listening on {settings.host} without TLS. {step}"))
    if settings.tls_cert is not None:
        notes += _certificate(settings)
    if not settings.kek.exists():
        notes.append(Note(settings.sqlite.exists(), f"No key file at {settings.kek}. `wardpost run` makes it for a new database only."))
    else:
        if settings.kek.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            notes.append(Note(True, f"{settings.kek} can be read by others: chmod 600 it."))
        if settings.data.resolve() in settings.kek.resolve().parents:
            notes.append(Note(True, "The key file lies inside the data folder: a stolen backup would open itself. Move it out."))
        notes.append(Note(False, f"Keep a copy of {settings.kek} apart from the backups of {settings.data}: without it the data is lost."))
    if settings.data.exists() and settings.data.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        notes.append(Note(True, f"{settings.data} can be read by others: chmod 700 it."))
    left = england().last - today
    if left < WARN_BEFORE:
        notes.append(Note(left < timedelta(0), f"Bank holidays are known up to {england().last}: add years to bank-holidays-england.json."))
    notes += _of_mail(settings)
    if settings.postgres:
        notes += _of_postgres(settings)
    if settings.kafka:
        notes += _of_kafka(settings)
    for name in ("exchange", "adapters"):
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None or Path(found.origin).parents[1] != Path(__file__).parents[2]:
            notes.append(Note(True, f"Another package named {name} is installed here: give wardpost a virtual environment of its own."))
    return sorted(notes, key=lambda note: not note.is_unsafe)


def _certificate(settings: Settings) -> list[Note]:
    """What is wrong with our own certificate, its key, or senders that need none."""
    try:
        server_context(settings, for_mllp=True)
    except Refused as problem:
        return [Note(True, problem.diagnostics())]
    notes = []
    key = settings.tls_key or settings.tls_cert
    if key is not None and key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        notes.append(Note(True, f"{key} can be read by others: chmod 600 it."))
    if settings.mllp_client_ca is None:
        notes.append(Note(True, "MLLP takes anybody who reaches its port. Set WARDPOST_MLLP_CLIENT_CA, and client_name in each profile."))
    return notes


def _of_mail(settings: Settings) -> list[Note]:
    try:
        mailer = mailer_of(settings)
    except Refused as problem:
        return [Note(True, problem.diagnostics())]
    if mailer is None:
        words = (
            "No e-mail is sent: nobody learns that something waits or can ask for a new link. Set WARDPOST_SMTP_URL and WARDPOST_MAIL_FROM."
        )
        return [Note(settings.environment is Environment.LIVE, words)]
    notes = []
    if not settings.team_address:
        notes.append(Note(False, "No WARDPOST_TEAM_ADDRESS: what the integration team should mend goes to the site manager at once."))
    if settings.public_url.startswith("http://") and urlsplit(settings.public_url).hostname in LOOPBACK:
        words = f"E-mails lead to {settings.public_url}, which nobody else can open. Set WARDPOST_BASE_URL."
        notes.append(Note(settings.environment is Environment.LIVE, words))
    return notes


def _of_postgres(settings: Settings) -> list[Note]:
    """Is it there, would it keep what it confirms, can others read along? The URL's password is never shown."""
    from exchange.wiring import check_database

    url = urlsplit(settings.postgres)
    notes = []
    if url.hostname not in (None, *LOOPBACK) and "verify-full" not in parse_qs(url.query).get("sslmode", []):
        notes.append(
            Note(True, f"The way to PostgreSQL at {url.hostname} is not protected. Add ?sslmode=verify-full to WARDPOST_DATABASE.")
        )
    return notes + _tried(lambda: check_database(settings))


def _of_kafka(settings: Settings) -> list[Note]:
    """Is it there, does it let us in, can others read along or write?"""
    from exchange.wiring import kafka_bus

    def ping() -> None:
        with closing(kafka_bus(settings)) as bus:
            bus.ping()

    notes = []
    far = {urlsplit(f"//{server}").hostname or "" for server in settings.kafka.split(",")} - set(LOOPBACK)
    if far and not (settings.kafka_ca_file and settings.kafka_user):
        step = "Set WARDPOST_KAFKA_CA_FILE and WARDPOST_KAFKA_USER."
        notes.append(Note(True, f"The way to Kafka at {', '.join(sorted(far))} is open to its network. {step}"))
    return notes + _tried(ping)


def _tried(check: Callable[[], None]) -> list[Note]:
    try:
        check()
    except WardpostError as problem:
        return [Note(True, f"{problem.diagnostics()}{f' ({problem.__cause__})' if problem.__cause__ else ''}")]
    return []
