"""Is the process up, can it do its part, what does it count: for whoever runs it. Keep these three from the outside world."""

from collections.abc import Collection

from fastapi import APIRouter, FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from exchange import __version__
from exchange.app import Exchange
from exchange.config import Settings
from exchange.errors import WardpostError
from exchange.metrics import backlog, render
from exchange.roles import RunRole

# Older than this, what waits is no moment's work: the loops of this role do not keep up, or do not run.
LATE_SECONDS = 600.0
_ON_EVENTS = frozenset({RunRole.WORKER, RunRole.RELAY})
_FOR_OTHERS = frozenset({RunRole.API, RunRole.INTAKE})


def health_app(exchange: Exchange, settings: Settings, roles: Collection[RunRole]) -> FastAPI:
    """The small side of a process that serves no API."""
    app = FastAPI(title="Wardpost", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.include_router(health_router(exchange, settings, roles))
    return app


def health_router(exchange: Exchange, settings: Settings, roles: Collection[RunRole]) -> APIRouter:
    router = APIRouter()

    @router.get("/health")
    async def health() -> Response:
        """The process lives."""
        return JSONResponse({"status": "up", "version": __version__})

    @router.get("/ready")
    async def ready() -> Response:
        """Can this process do its part? The database decides; where nobody sends or polls, bus and lag do too.

        Intake and polls go on while the bus is away: for them it is said, and is no reason to be taken out.
        """
        answer: dict[str, object] = {"environment": str(settings.environment), "roles": sorted(roles)}
        try:
            found = await run_in_threadpool(exchange.store.read, backlog)
        except WardpostError as problem:
            return JSONResponse({"status": "away", "database": problem.code, **answer}, 503)
        try:
            await run_in_threadpool(exchange.bus.ping)
            bus = "there"
        except WardpostError as problem:
            bus = problem.code
        is_late = max(found.oldest_seconds.values()) > LATE_SECONDS
        counts = bool(_ON_EVENTS & set(roles)) and not _FOR_OTHERS & set(roles)
        status = "away" if bus != "there" else "late" if is_late else "ready"
        answer |= {"database": "there", "bus": bus, "waiting": found.rows, "oldest_seconds": found.oldest_seconds}
        return JSONResponse({"status": status, **answer}, 503 if counts and status != "ready" else 200)

    @router.get("/metrics")
    async def metrics() -> Response:
        text = render(await run_in_threadpool(exchange.store.read, backlog))
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
