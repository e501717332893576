"""The one place that turns views into HTML: a Jinja environment made once, autoescape always on, no scripts."""

import hashlib
import re
from importlib.resources import files

from jinja2 import ChainableUndefined, ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup

STYLESHEET = files("exchange.web.home").joinpath("static", "wardpost.css")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

# Characters that reorder or hide what stands around them, or are no text: shown, not obeyed, in the words of exchange.fhir.narrative.
_HIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufffe\uffff]")


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else f"[U+{code:04X}]"


def inert(value: object) -> object:
    """What every printed expression passes: text whose direction overrides and control characters are visible. Markup is ours already."""
    return _HIDDEN.sub(_visible, value) if isinstance(value, str) and not isinstance(value, Markup) else value


class Renderer:
    """Renders the home's pages. `static_url` is where the web layer serves the static folder, without a slash at its end."""

    def __init__(self, static_url: str = "/static") -> None:
        self._environment = Environment(
            loader=ChoiceLoader([PackageLoader(name) for name in ("exchange.web.home", "exchange.web.board", "nhsuk_frontend_jinja")]),
            autoescape=True,
            undefined=ChainableUndefined,  # the kit's macros need it; the pages' tests render every member of every view
            finalize=inert,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        digest = hashlib.sha256(STYLESHEET.read_bytes()).hexdigest()[:12]
        self._environment.globals["stylesheet_url"] = f"{static_url}/wardpost.css?v={digest}"

    def render(self, template: str, **context: object) -> bytes:
        """The page as UTF-8 bytes. `template` is a file name such as `inbox.html`."""
        return self._environment.get_template(template).render(**context).encode()
