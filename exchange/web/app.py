"""The FastAPI application: routes of every door, one table of errors, limits and headers."""

import os
import re
import secrets
import time
from collections.abc import Collection

import structlog
from fastapi import FastAPI, Form
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from exchange import __version__
from exchange.app import Exchange
from exchange.config import Settings
from exchange.errors import Refused, WardpostError
from exchange.metrics import REQUEST_SECONDS, REQUESTS
from exchange.notices.smtp import mailer_of
from exchange.roles import RunRole
from exchange.web.auth.assertion import ClientRefused
from exchange.web.auth.tokens import TOKEN_LIFE, Tokens
from exchange.web.board.routes import board_router
from exchange.web.errors import on_any_error, on_bad_parameter, on_http_error, on_wardpost_error
from exchange.web.fhir.routes import fhir_router
from exchange.web.fhir.sites import sites_router
from exchange.web.health import health_router
from exchange.web.home.routes import home_router
from exchange.web.new_link import new_link_router
from exchange.web.session import Pages, session_router
from exchange.web.submissions import submissions_router
from exchange.web.transfers import transfers_router

log = structlog.get_logger("wardpost.web")
# Larger than any body that a route takes but POST /submissions: the routes have limits of their own.
MAX_BODY_BYTES = 1_048_576
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_TRACEPARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class RequestLog:
    """Logs each request by its route pattern, never its path: paths hold ids and one-time links. Pure ASGI: nearly free."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with bound_contextvars(trace_id=_trace_id(scope)):
            try:
                await self._app(scope, receive, note)
            finally:
                route = getattr(scope.get("route"), "path", "unknown")
                seconds = time.perf_counter() - began
                method = scope["method"] if scope["method"] in _METHODS else "other"
                REQUESTS.labels(method, route, status).inc()
                REQUEST_SECONDS.labels(route).observe(seconds)
                log.info("request", method=method, route=route, status=status, ms=round(seconds * 1000, 1))


def _trace_id(scope: Scope) -> str:
    """The trace that the client is in (W3C traceparent), else a new one."""
    for name, value in scope["headers"]:
        if name == b"traceparent" and (found := _TRACEPARENT.fullmatch(value)):
            return found[1].decode()
    return secrets.token_hex(16)


def make_app(exchange: Exchange, settings: Settings, roles: Collection[RunRole] = tuple(RunRole)) -> FastAPI:
    """The whole web side over one Exchange."""
    base = settings.public_url
    # No redirect to the address without its slash: it would repeat the query, before anybody is authenticated.
    app = FastAPI(
        title="Wardpost", version=__version__, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False,
        max_body_size=MAX_BODY_BYTES,
    )  # fmt: skip
    tokens = Tokens(exchange.store, f"{base}/oauth2/token", os.urandom)
    app.add_middleware(RequestLog)
    app.add_exception_handler(WardpostError, on_wardpost_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_bad_parameter)
    app.add_exception_handler(Exception, on_any_error)
    app.include_router(fhir_router(exchange, tokens, base))  # the first is found first, and polls are most of what comes
    app.include_router(sites_router(exchange, tokens, base))
    app.include_router(health_router(exchange, settings, roles))
    app.include_router(transfers_router(exchange, tokens))
    # The route stops reading at its own limit, and says so in FHIR.
    app.include_router(submissions_router(exchange, tokens, base), max_body_size=1 << 40)
    pages = Pages(exchange, settings)
    app.include_router(session_router(exchange, pages))
    app.include_router(new_link_router(exchange.store, pages, mailer_of(settings), base))
    app.include_router(home_router(exchange, pages))
    app.include_router(board_router(exchange, pages))

    @app.post("/oauth2/token")
    async def token(
        grant_type: str = Form(""), client_assertion_type: str = Form(""), client_assertion: str = Form(""), scope: str = Form("")
    ) -> Response:
        if grant_type != "client_credentials" or client_assertion_type != _ASSERTION_TYPE:
            raise ClientRefused("bad_format")
        try:
            text, bearer = await run_in_threadpool(tokens.issue, client_assertion, scope)
        except Refused as problem:
            return JSONResponse({"error": "invalid_scope", "error_description": problem.diagnostics()}, 400, {"Cache-Control": "no-store"})
        answer = {
            "access_token": text,
            "token_type": "bearer",
            "expires_in": int(TOKEN_LIFE.total_seconds()),
            "scope": " ".join(sorted(bearer.scopes)),
        }
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    return app
