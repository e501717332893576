"""Settings: from the command line, else `WARDPOST_*`, else defaults that are safe on loopback."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from exchange.errors import Refused
from exchange.model import Environment

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Settings:
    """`data` is the folder of the database; the KEK file lies beside it, never inside. `base_url` is what clients see.
    `tls_cert` and `tls_key` are PEM files; with `mllp_client_ca` senders have to show a certificate of that authority.

    `postgres` is the URL of a PostgreSQL database, which then takes the folder's place; it holds a password and is never shown.
    `kafka` is `host:port,…`: the events then go over Apache Kafka, and not over tables of the database.
    `folder_seconds`: how long a file in a watched folder has to stand still before it is taken.
    `smtp_url` is `smtps://user@host` or `smtp://…` (STARTTLS); without it no e-mail is sent. `mail_from` is the sender's address,
    `team_address` the integration team's, for notices of holds.
    """

    data: Path = Path("wardpost-data")
    kek_file: Path | None = None
    environment: Environment = Environment.TRIAL
    host: str = "127.0.0.1"
    port: int = 8080
    mllp_port: int = 2575
    base_url: str = ""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    mllp_client_ca: Path | None = None
    log: str = "info"
    postgres: str = field(default="", repr=False)
    kafka: str = ""
    kafka_user: str = ""
    kafka_password_file: Path | None = None
    kafka_ca_file: Path | None = None
    folder_seconds: float = 1.0
    smtp_url: str = ""
    smtp_password_file: Path | None = None
    smtp_ca_file: Path | None = None
    mail_from: str = ""
    team_address: str = ""

    @property
    def sqlite(self) -> Path:
        return self.data / "wardpost.sqlite"

    @property
    def database(self) -> Path | str:
        """A path is SQLite, a text is PostgreSQL."""
        return self.postgres or self.sqlite

    @property
    def kek(self) -> Path:
        """The KEK file: `WARDPOST_KEK_FILE`, else `<data>.kek.json` beside the data folder."""
        return self.kek_file or self.data.resolve().with_name(self.data.resolve().name + ".kek.json")

    @property
    def public_url(self) -> str:
        scheme = "https" if self.tls_cert else "http"
        return (self.base_url or f"{scheme}://{self.host}:{self.port}").rstrip("/")

    @property
    def is_open_without_tls(self) -> bool:
        """Listens beyond this machine, with no certificate of its own and no word that TLS stands in front."""
        return not (self.host in LOOPBACK or self.tls_cert or self.base_url.startswith("https://"))


def load_settings(environ: Mapping[str, str] | None = None, **given: object) -> Settings:
    """Settings from the environment, overridden by what was given (None = not given). Raises Refused `setting`."""
    env = os.environ if environ is None else environ
    found = Settings()
    try:
        found = replace(
            found,
            data=Path(env.get("WARDPOST_DATA", str(found.data))),
            kek_file=_path(env, "WARDPOST_KEK_FILE"),
            environment=Environment(env.get("WARDPOST_ENVIRONMENT", found.environment)),
            host=env.get("WARDPOST_HOST", found.host),
            port=int(env.get("WARDPOST_PORT", found.port)),
            mllp_port=int(env.get("WARDPOST_MLLP_PORT", found.mllp_port)),
            base_url=env.get("WARDPOST_BASE_URL", ""),
            tls_cert=_path(env, "WARDPOST_TLS_CERT"),
            tls_key=_path(env, "WARDPOST_TLS_KEY"),
            mllp_client_ca=_path(env, "WARDPOST_MLLP_CLIENT_CA"),
            log=env.get("WARDPOST_LOG", found.log),
            postgres=_postgres(env),
            kafka=env.get("WARDPOST_KAFKA", ""),
            kafka_user=env.get("WARDPOST_KAFKA_USER", ""),
            kafka_password_file=_path(env, "WARDPOST_KAFKA_PASSWORD_FILE"),
            kafka_ca_file=_path(env, "WARDPOST_KAFKA_CA_FILE"),
            folder_seconds=float(env.get("WARDPOST_FOLDER_SECONDS", found.folder_seconds)),
            smtp_url=env.get("WARDPOST_SMTP_URL", ""),
            smtp_password_file=_path(env, "WARDPOST_SMTP_PASSWORD_FILE"),
            smtp_ca_file=_path(env, "WARDPOST_SMTP_CA_FILE"),
            mail_from=env.get("WARDPOST_MAIL_FROM", ""),
            team_address=env.get("WARDPOST_TEAM_ADDRESS", ""),
        )
    except ValueError as problem:
        raise Refused("setting", f"A WARDPOST_ setting does not fit: {problem}.", next_step="See docs/operations.md.") from None
    return replace(found, **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]  # names are Settings'


def _path(env: Mapping[str, str], name: str) -> Path | None:
    return Path(env[name]) if env.get(name) else None


def _postgres(env: Mapping[str, str]) -> str:
    """`WARDPOST_DATABASE`, or what the file named by `WARDPOST_DATABASE_FILE` holds; "" is SQLite. The value itself is never quoted."""
    url = env.get("WARDPOST_DATABASE", "")
    if file := env.get("WARDPOST_DATABASE_FILE", ""):
        try:
            url = Path(file).read_text().strip()
        except OSError:
            raise ValueError("WARDPOST_DATABASE_FILE cannot be read") from None
    if url and not url.startswith(("postgresql://", "postgres://")):
        raise ValueError("WARDPOST_DATABASE is no postgresql:// URL")
    return url
