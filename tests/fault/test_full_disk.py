"""A full disk, for the database and the log alike: nobody is told "yes" in vain, and the service goes on when there is room again."""

import json
import resource
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.cli.demo_story import admission
from exchange.cli.fsck import check_all
from exchange.records import Submission
from exchange.wiring import open_exchange
from tests.databases import settings_for, sqlite_only
from tests.fault.runner import made_up, set_up
from tests.service_kit import Service, wait_until


@sqlite_only
@pytest.mark.parametrize("is_log_full", [False, True], ids=["database", "log too"])
def test_a_disk_that_is_full_for_a_while(tmp_path: Path, is_log_full: bool) -> None:
    now = datetime.now(UTC)
    exchange = open_exchange(settings_for(tmp_path))
    exchange.store.write(set_up)
    exchange.store.close()
    service = Service(tmp_path)
    service.start()
    try:
        assert service.process is not None
        # A file that may not grow is what a full disk is to SQLite and to a log: a write that fails.
        limit = max(file.stat().st_size for file in (tmp_path / "data").iterdir()) + 20_000
        if is_log_full:
            with service.log.open("ab") as log:
                log.write(b"\n" * (limit - log.tell()))
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        told = 0
        while (codes := service.mllp(admission(made_up(told), now))) == ["AA"]:
            told += 1
            assert told < 500, "the disk does not fill up"
        for number in range(told, told + 5):
            # No answer: the engine keeps it and sends it again. A write that is small enough may still find room between two others.
            assert codes in ([""], ["AA"])
            codes = service.mllp(admission(made_up(number), now))
        assert service.http("GET", "/health")[0] == 200
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        for number in range(told + 5):
            wait_until(lambda n=number: service.mllp(admission(made_up(n), now)) == ["AA"], "room")  # type: ignore[misc]
        # The loops outlived it: everything that was taken is read.
        wait_until(lambda: json.loads(service.http("GET", "/ready")[2])["waiting"]["work"] == 0, "the work")
        assert service.stop() == 0
    finally:
        if service.process is not None:
            service.stop(signal.SIGKILL)
    exchange = open_exchange(settings_for(tmp_path))
    try:
        assert exchange.store.read(lambda uow: uow.count(Submission, state="read")) == told + 5
        assert exchange.store.read(lambda uow: check_all(uow, exchange.environment)) == []
    finally:
        exchange.store.close()
