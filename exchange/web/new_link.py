"""The page "Send me a new link": the same words to everybody, before anything is looked up."""

import os

import anyio.to_thread
import structlog
from anyio import CapacityLimiter
from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.background import BackgroundTask

from exchange.errors import WardpostError
from exchange.notices.new_link import send_new_link
from exchange.ports import Mailer, Store
from exchange.web.auth.secrets import hash_secret, make_secret
from exchange.web.session import Pages

log = structlog.get_logger("wardpost.pages")
_LONGEST_ADDRESS = 254
# A mail server that hangs, or many strangers, must not take the threads that serve the pages.
_AT_ONCE = 2


def _secret_and_hash() -> tuple[str, bytes]:
    secret = make_secret(os.urandom)
    return secret, hash_secret(secret)


def new_link_router(store: Store, pages: Pages, mailer: Mailer | None, base_url: str) -> APIRouter:
    """GET shows the form, POST answers at once and does its work afterwards: neither words nor time tell who is registered."""
    router = APIRouter()
    limiter = CapacityLimiter(_AT_ONCE)

    def page(*, is_asked: bool) -> Response:
        return pages.html("new_link.html", frame=pages.bare_frame, is_asked=is_asked, is_off=mailer is None)

    def send(address: str) -> None:
        try:
            if mailer is not None:
                send_new_link(store, mailer, base_url, address, _secret_and_hash)
        except WardpostError as problem:
            log.error("link_not_sent", code=problem.code)

    async def send_later(address: str) -> None:
        await anyio.to_thread.run_sync(send, address, limiter=limiter)

    @router.get("/new-link")
    def show() -> Response:
        return page(is_asked=False)

    @router.post("/new-link")
    async def ask(request: Request) -> Response:
        form = await pages.form(request)
        if isinstance(form, WardpostError):
            return pages.error(form)
        answer = page(is_asked=mailer is not None)
        answer.background = BackgroundTask(send_later, str(form.get("address", ""))[:_LONGEST_ADDRESS])
        return answer

    return router
