"""What `wardpost doctor` looks at: settings and surroundings, each note with what to do."""

import importlib.util
import stat
from dataclasses import dataclass
from pathlib import Path

from exchange.config import Settings
from exchange.errors import Refused
from exchange.intake.tls import server_context
from exchange.model import Environment


@dataclass(frozen=True, slots=True)
class Note:
    """One finding; `is_unsafe`: do not run with real people before it is mended."""

    is_unsafe: bool
    words: str


def look_at(settings: Settings) -> list[Note]:
    """Every note, the unsafe ones first. Opens no database and needs no key."""
    notes: list[Note] = []
    if settings.environment is Environment.TRIAL:
        notes.append(Note(False, "This is a trial: test people only (NHS numbers from 999). Set WARDPOST_ENVIRONMENT=live to go live."))
    if settings.is_open_without_tls:
        step = "Set WARDPOST_TLS_CERT, or put TLS in front and set WARDPOST_BASE_URL=https://…"
        notes.append(Note(True, f"Listening on {settings.host} without TLS. {step}"))
    if settings.tls_cert is not None:
        notes += _certificate(settings)
    if not settings.kek.exists():
        notes.append(Note(settings.database.exists(), f"No key file at {settings.kek}. `wardpost run` makes it for a new database only."))
    else:
        if settings.kek.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            notes.append(Note(True, f"{settings.kek} can be read by others: chmod 600 it."))
        if settings.data.resolve() in settings.kek.resolve().parents:
            notes.append(Note(True, "The key file lies inside the data folder: a stolen backup would open itself. Move it out."))
        notes.append(Note(False, f"Keep a copy of {settings.kek} apart from the backups of {settings.data}: without it the data is lost."))
    if settings.data.exists() and settings.data.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        notes.append(Note(True, f"{settings.data} can be read by others: chmod 700 it."))
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
