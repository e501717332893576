"""`wardpost run`: HTTP, MLLP and the loops of some roles, or of all, in one process, started and stopped together."""

import asyncio
import gc
import signal
import socket
import sys
import uuid
from collections.abc import Collection
from dataclasses import replace

import structlog
import uvicorn

from exchange.cli.door import quiet_logs
from exchange.config import Settings
from exchange.errors import Refused
from exchange.notices.send import Notifier
from exchange.notices.smtp import mailer_of
from exchange.records import Organisation
from exchange.roles import Listeners, Loops, RunRole
from exchange.web.app import make_app
from exchange.web.health import health_app
from exchange.wiring import open_exchange

log = structlog.get_logger("wardpost.serve")


async def serve(settings: Settings, roles: Collection[RunRole] = tuple(RunRole)) -> None:
    """Run until SIGINT or SIGTERM. Raises Refused: `not_loopback` for a bind that needs TLS, `role_needs_postgres`."""
    if set(roles) != set(RunRole) and not settings.postgres:
        step = "Start it without --role, or name a PostgreSQL database in WARDPOST_DATABASE."
        raise Refused("role_needs_postgres", "SQLite serves one process: the roles cannot be apart.", next_step=step)
    if {RunRole.API, RunRole.INTAKE} & set(roles) and settings.is_open_without_tls:
        step = "Set WARDPOST_TLS_CERT, or put TLS in front and set WARDPOST_BASE_URL to its https address; see docs/operations.md."
        raise Refused("not_loopback", "Listening beyond this machine without TLS is refused.", next_step=step)
    quiet_logs(settings.log)
    _share_the_processor()
    if settings.port == 0:
        with socket.socket() as found:
            found.bind((settings.host, 0))
            settings = replace(settings, port=found.getsockname()[1])
    exchange = open_exchange(settings)
    notifier = Notifier(exchange.store, mailer_of(settings), settings.public_url, settings.team_address, exchange.fail)
    loops = Loops(exchange, roles, str(uuid.uuid4()), notifier.work_once, settings.folder_seconds)
    listeners = Listeners(exchange, settings)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    config = uvicorn.Config(
        make_app(exchange, settings, roles) if RunRole.API in roles else health_app(exchange, settings, roles),
        host=settings.host,
        port=settings.port,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        log_config=None,
        access_log=False,  # paths hold one-time links; our own middleware logs route patterns
        timeout_graceful_shutdown=5,
        server_header=False,
        date_header=True,
        lifespan="off",
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # ours above stop everything together
    loops.start()
    if RunRole.INTAKE in roles:
        await listeners.refresh()
    listening = asyncio.create_task(listeners.run(stopping) if RunRole.INTAKE in roles else stopping.wait())
    serving = asyncio.create_task(server.serve())
    if not exchange.store.read(lambda uow: uow.count(Organisation)):
        print("Nobody is set up here yet, so everybody is refused. Next: wardpost sites add CODE NAME --kind hospital", flush=True)
    log.info("wardpost_running", url=settings.public_url, environment=str(settings.environment), roles=sorted(roles), mllp=listeners.ports)
    print(
        f"Wardpost runs at {settings.public_url} ({settings.environment}). Ctrl-C stops it. What it does: stderr, one JSON line each.",
        flush=True,
    )
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait([waiting, serving], return_when=asyncio.FIRST_COMPLETED)
    stopping.set()
    server.should_exit = True
    await listening
    await serving
    await asyncio.to_thread(loops.stop)
    await asyncio.to_thread(exchange.bus.close)
    await asyncio.to_thread(exchange.store.close)
    log.info("wardpost_stopped")


def _share_the_processor() -> None:
    """An acknowledgement passes between threads twice, and each time it would wait 5 ms for a worker that computes. What was imported
    lives for ever: the garbage collector need not look at it again and again."""
    sys.setswitchinterval(0.0005)
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
