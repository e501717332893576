"""Submissions and polls per CPU-second of all processes, servers included, on the three deployments; what a poll reads on each database.

python -m tests.bench.deployments      also the last part of `./dev bench`; what cannot be had here is named and left out
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from joserfc.jwk import ECKey

from exchange.cli.demo_deployment import DEPLOYMENTS, NotHere, Surroundings
from exchange.cli.demo_story import admission, letter
from exchange.directory.entries import add_client, default_scopes
from exchange.wiring import open_exchange
from tests import databases
from tests.app_kit import HOME, HOSPITAL, SteppingClock, set_up
from tests.bench.poll_reads import SIZES, reading_of_polls
from tests.databases import first_cell
from tests.fault.runner import made_up
from tests.service_kit import Service, ServiceOfRoles, wait_until

MESSAGES, POLLS, AT_ONCE, LISTED = 400, 400, 8, 10
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(roots: list[int]) -> float:
    """Of these processes and whatever they have started, those that have ended included."""
    spent, parents = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        values, pid = rest.split(), int(name.split()[0])
        parents[pid], spent[pid] = int(values[1]), sum(int(value) for value in values[11:15]) / _TICKS

    def is_ours(pid: int) -> bool:
        return pid in roots or (pid in parents and is_ours(parents[pid]))

    return sum(seconds for pid, seconds in spent.items() if is_ours(pid))


def prepare(service: Service) -> str:
    """Organisations, a feed, two clients; who picks."""
    exchange = open_exchange(service.settings)
    try:
        made = set_up(exchange, SteppingClock(), service.settings, "{}")
        for client, org, kind in (("home", HOME, "home"), ("hospital", HOSPITAL, "hospital")):
            key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, private=True)
            key.ensure_kid()
            service.keys[client] = key
            public = (str(key.kid), "ES256", json.dumps(key.as_dict(private=False)))
            exchange.store.write(lambda uow, c=client, o=org, k=kind, p=public: add_client(uow, c, o, c, default_scopes(k), [p]))  # type: ignore[misc]
        return made.worker
    finally:
        exchange.bus.close()
        exchange.store.close()


def is_at_rest(service: Service) -> bool:
    left = "SELECT (SELECT count(*) FROM work) + (SELECT count(*) FROM outbox WHERE settled_at IS NULL)"
    return first_cell(service.settings, left) == 0


def rates(service: Service, servers: list[int]) -> tuple[float, float]:
    """Submissions (answered, then read and matched) and polls of ten documents, each per CPU-second."""
    worker, now = prepare(service), datetime.now(UTC)
    service.start()
    try:
        roots = [*servers, *(process.pid for process in service.processes)]
        listed = [made_up(400_000 + n) for n in range(LISTED)]
        for person in listed:
            assert service.mllp(admission(person, now), letter(person, now)) == ["AA", "AA"]
        wait_until(lambda: is_at_rest(service), "rest", 120)
        token = service.token("hospital")
        for person in listed:
            pick = json.dumps({"stay": person.visit, "site": HOME, "by": worker}).encode()
            assert service.http("POST", "/transfers/confirm", pick, token=token)[0] == 200
        wait_until(lambda: is_at_rest(service), "rest", 120)

        def send(number: int) -> None:
            assert service.mllp(admission(made_up(number), now)) == ["AA"]

        def submit() -> None:
            with ThreadPoolExecutor(AT_ONCE) as engines:
                list(engines.map(send, range(MESSAGES)))
            wait_until(lambda: is_at_rest(service), "rest", 240)

        def poll() -> None:
            token = service.token("home")
            for _ in range(POLLS):
                status, _, body = service.http("GET", f"/fhir/DocumentReference?_count={LISTED}", token=token)
                assert (status, len(json.loads(body)["entry"])) == (200, LISTED)

        def per_cpu(count: int, work: Callable[[], None]) -> float:
            before = cpu_seconds(roots)
            work()
            return count / (cpu_seconds(roots) - before)

        return per_cpu(MESSAGES, submit), per_cpu(POLLS, poll)
    finally:
        service.stop()


@contextmanager
def surroundings(deployment: str) -> Iterator[tuple[dict[str, str], list[int]]]:
    """Settings and process ids of the servers. Raises NotHere."""
    servers = Surroundings(deployment)
    try:
        environ = servers.start()
        yield environ, servers.process_ids()
    finally:
        servers.stop()


def rates_of(environ: dict[str, str], servers: list[int], folder: Path) -> tuple[float, float]:
    folder.mkdir()
    return rates((ServiceOfRoles if environ else Service)(folder, more_environ=environ), servers)


def print_reads(database: str, folder: Path) -> None:
    databases.SERVER = database
    (folder / "reads").mkdir()
    small, large = reading_of_polls(folder / "reads")
    unit = "rows and index entries, PostgreSQL" if database else "steps of SQLite"
    for way in small:
        print(f"{f'a poll {way} at {SIZES[0]:,} and {SIZES[1]:,}: {unit}':76} {small[way]:9,} {large[way]:9,}")
    databases.drop_all()


def main() -> None:
    print(f"{'per CPU-second of all processes, the servers included':58} {'submissions':>12} {'polls of 10':>12}")
    for deployment in DEPLOYMENTS:
        with tempfile.TemporaryDirectory() as name:
            try:
                with surroundings(deployment) as (environ, servers):
                    submissions, polls = rates_of(environ, servers, Path(name) / "service")
                    print(f"{deployment:58} {submissions:12.0f} {polls:12.0f}", flush=True)
                    if deployment != "kafka":
                        print_reads(environ.get("WARDPOST_DATABASE", ""), Path(name))
            except NotHere as why:
                print(f"{deployment}: left out: {why}")


if __name__ == "__main__":
    main()
