"""Settings: from the command line, else `WARDPOST_*`, else defaults that are safe on loopback."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from exchange.errors import Refused
from exchange.model import Environment


@dataclass(frozen=True, slots=True)
class Settings:
    """`data` is the folder of the database; the KEK file lies beside it, never inside. `base_url` is what clients see.
    `tls_cert` and `tls_key` are PEM files; with `mllp_client_ca` senders have to show a certificate of that authority."""

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

    @property
    def database(self) -> Path:
        return self.data / "wardpost.sqlite"

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
        is_loopback = self.host in ("127.0.0.1", "::1", "localhost")
        return not (is_loopback or self.tls_cert or self.base_url.startswith("https://"))


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
        )
    except ValueError as problem:
        raise Refused("setting", f"A WARDPOST_ setting does not fit: {problem}.", next_step="See docs/operations.md.") from None
    return replace(found, **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]  # names are Settings'


def _path(env: Mapping[str, str], name: str) -> Path | None:
    return Path(env[name]) if env.get(name) else None
