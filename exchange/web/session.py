"""What every page shares: a one-time link opens a session for a named person, forms come from our own pages, each refusal is a page."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from hashlib import sha256
from hmac import compare_digest
from inspect import signature as signature_of

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData

from exchange.app import Exchange
from exchange.config import Settings
from exchange.directory import links
from exchange.directory.links import SignedIn
from exchange.errors import Refused, WardpostError
from exchange.model import HOME_ROLES, HOSPITAL_ROLES, Environment, PersonRole
from exchange.records import Organisation
from exchange.web.auth.secrets import hash_secret, make_secret
from exchange.web.errors import status_of
from exchange.web.fhir.routes import read_form
from exchange.web.home.facts import Frame
from exchange.web.home.render import CONTENT_SECURITY_POLICY, STYLESHEET, Renderer
from exchange.web.home.times import at as spoken_at

log = structlog.get_logger("wardpost.pages")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# The longest question in a script of four bytes a letter, each written as %XX.
MAX_PAGE_FORM_BYTES = 65_536
_TITLES = {401: "You are signed out", 404: "Not found", 410: "The hospital took this back"}


def start_of(role: PersonRole) -> str:
    """The first page of a person: the home's list or the hospital's board."""
    return "/home" if role in HOME_ROLES else "/board"


class Pages:
    """Over one Exchange: who is signed in, and how an answer is made. The cookie is `__Host-` wherever the address is https."""

    def __init__(self, exchange: Exchange, settings: Settings) -> None:
        self._exchange = exchange
        self._renderer = Renderer()
        self.is_https = settings.public_url.startswith("https://")
        self.cookie = "__Host-wardpost" if self.is_https else "wardpost"
        self.bare_frame = Frame("", "", "", settings.environment is Environment.TRIAL, "", "")

    def html(self, template: str, status: int = 200, **context: object) -> Response:
        return Response(self._renderer.render(template, **context), status, HEADERS, "text/html; charset=utf-8")

    def error(self, problem: WardpostError, frame: Frame | None = None) -> Response:
        status, _ = status_of(problem)
        title = _TITLES.get(status, "That did not work")
        said = {"title": title, "words": problem.message, "next_step": problem.next_step, "code": problem.code}
        return self.html("error.html", status, frame=frame or self.bare_frame, **said)

    def home(self, work: Callable[..., Response]) -> Callable[..., Response]:
        """A page for a signed-in person of a home."""
        return self._page(work, HOME_ROLES)

    def hospital(self, work: Callable[..., Response]) -> Callable[..., Response]:
        """A page for a signed-in person of a hospital."""
        return self._page(work, HOSPITAL_ROLES)

    def anybody(self, work: Callable[..., Response]) -> Callable[..., Response]:
        return self._page(work, HOME_ROLES | HOSPITAL_ROLES)

    def _page(self, work: Callable[..., Response], roles: frozenset[PersonRole]) -> Callable[..., Response]:
        @wraps(work)
        def run(request: Request, **path: object) -> Response:
            frame = None
            try:
                who = self.signed_in(request)
                # A refusal names nobody, not even who asked; it still leads back and gives the number to call.
                frame = replace(self.frame(request, who), who="")
                if who.person.role not in roles:
                    step = "Go to your own list."
                    raise Refused("scope", "This page is for others.", next_step=step)
                return work(request, who, **path)
            except WardpostError as problem:
                log.info("page_refused", code=problem.code)
                return self.error(problem, frame)

        # FastAPI reads the signature: the person is ours to find, not a parameter of the request.
        signature = signature_of(work)
        kept = [parameter for parameter in signature.parameters.values() if parameter.annotation is not SignedIn]
        run.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]  # read by inspect
        return run

    def find(self, request: Request) -> SignedIn | None:
        secret = request.cookies.get(self.cookie, "")
        return self._exchange.store.read(lambda uow: links.find_session(uow, hash_secret(secret))) if secret else None

    def signed_in(self, request: Request) -> SignedIn:
        """Raises Refused `token`."""
        found = self.find(request)
        if found is None:
            raise Refused("token", "You are signed out, or were not active for 30 minutes.", next_step="Ask for a new link.")
        self._exchange.store.write(lambda uow: links.touch(uow, found.session))
        return found

    def csrf(self, request: Request) -> str:
        return sha256(b"wardpost/csrf/1" + request.cookies.get(self.cookie, "").encode()).hexdigest()

    def frame(self, request: Request, who: SignedIn) -> Frame:
        home, hospitals = self._exchange.store.read(
            lambda uow: (uow.get(Organisation, who.person.org), uow.find(Organisation, kind="hospital", phone__ne=""))
        )
        # With several hospitals nobody can say which one this home wants; a hospital does not call itself.
        desk = hospitals[0] if len(hospitals) == 1 and who.person.role in HOME_ROLES else None
        return Frame(
            home=home.name if home else who.person.org,
            who=who.person.name.text(),
            role={PersonRole.HOME_MANAGER: "manager"}.get(who.person.role, str(who.person.role).replace("_", " ")),
            is_trial=self.bare_frame.is_trial,
            csrf=self.csrf(request),
            start_url=start_of(who.person.role),
            desk_phone=desk.phone if desk else "",
            desk_who=desk.name if desk else "",
        )

    async def form(self, request: Request, limit_bytes: int = MAX_PAGE_FORM_BYTES, most_fields: int = 50) -> FormData | WardpostError:
        """The posted form, or why it is none; told on a page, after it is known who asks."""
        try:
            return FormData([*await read_form(request, limit_bytes, most_fields)])
        except WardpostError as problem:
            return problem

    def checked(self, request: Request, form: FormData | WardpostError) -> FormData:
        """The form, if it is one and came from our own page. Raises Refused `form_from_elsewhere`."""
        if isinstance(form, WardpostError):
            raise form
        site = request.headers.get("sec-fetch-site", "same-origin")
        same = compare_digest(str(form.get("csrf", "")).encode("utf-8", "surrogatepass"), self.csrf(request).encode())
        if site not in ("same-origin", "none") or not same:
            step = "Go back, reload the page and send again."
            raise Refused("form_from_elsewhere", "This form did not come from our page.", next_step=step)
        return form


def session_router(exchange: Exchange, pages: Pages) -> APIRouter:
    """The way in and out: /in, /sign-out, and the stylesheet."""
    router = APIRouter()
    stylesheet = STYLESHEET.read_bytes()

    @router.get("/static/wardpost.css")
    async def css() -> Response:
        return Response(stylesheet, 200, {"Cache-Control": "public, max-age=31536000, immutable"}, "text/css")

    @router.get("/")
    def front(request: Request) -> Response:
        found = pages.find(request)
        return RedirectResponse(start_of(found.person.role) if found else "/home", 303)

    @router.get("/in/{secret}")
    def show_link(secret: str) -> Response:
        """GET and HEAD change nothing: mail scanners open links."""
        found = exchange.store.read(lambda uow: links.describe(uow, hash_secret(secret)))
        if found is None:
            return pages.error(links.spent())
        who, home, until = found
        now = exchange.store.read(lambda uow: uow.now)
        return pages.html("link.html", frame=pages.bare_frame, who=who, home=home, action=f"/in/{secret}", until=spoken_at(until, now))

    @router.post("/in/{secret}")
    def use_link(secret: str) -> Response:
        session = make_secret(os.urandom)
        try:
            found = exchange.store.write(lambda uow: links.use_link(uow, hash_secret(secret), hash_secret(session)))
        except WardpostError as problem:
            return pages.error(problem)
        answer = RedirectResponse(start_of(found.person.role), 303, HEADERS)
        answer.set_cookie(pages.cookie, session, secure=pages.is_https, httponly=True, samesite="lax", path="/")
        return answer

    @router.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        posted = await pages.form(request)

        @pages.anybody
        def out(request: Request, who: SignedIn) -> Response:
            pages.checked(request, posted)
            exchange.store.write(lambda uow: links.end_session(uow, who.session))
            answer = pages.html("error.html", frame=pages.bare_frame, title="You are signed out", words="Close this page.")
            answer.delete_cookie(pages.cookie, path="/", secure=pages.is_https, httponly=True, samesite="lax")
            return answer

        return out(request)

    return router
