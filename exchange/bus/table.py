"""The table bus: a log table and an offset table in the same database. At least once, in order, replayable."""

from collections.abc import Sequence

from exchange.ports import BusMessage, Store, UnitOfWork
from exchange.records import BusEntry, BusOffset


class TableBus:
    """Implements ports.Bus. One relay publishes at a time, so positions rise with commit."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._given: dict[str, int] = {}

    def publish(self, events: Sequence[BusMessage]) -> None:
        """Append; what is there already moves to the end, so that who has passed it sees it again."""

        def append(uow: UnitOfWork) -> None:
            last = uow.find(BusEntry, order="-position", limit=1)
            first = last[0].position + 1 if last else 1
            for position, event in enumerate(events, first):
                if not uow.update(BusEntry, {"position": position}, id=event.event_id):
                    uow.insert(BusEntry(event.event_id, position, event.key, event.sequence, event.type, event.body, event.created_at))

        self._store.write(append)

    def fetch(self, group: str, limit: int) -> Sequence[BusMessage]:
        def read(uow: UnitOfWork) -> list[BusEntry]:
            offset = uow.get(BusOffset, group)
            return uow.find(BusEntry, order="position", limit=limit, position__gt=offset.position if offset else 0)

        rows = self._store.read(read)
        self._given[group] = rows[-1].position if rows else 0
        return [BusMessage(row.id, row.key, row.sequence, row.type, row.body, row.created_at) for row in rows]

    def commit(self, group: str) -> None:
        """Never moves back: another process of the group may be further on."""
        position = self._given.get(group, 0)

        def move(uow: UnitOfWork) -> None:
            if uow.lock(BusOffset, group) is None:
                uow.insert(BusOffset(group, position))
            else:
                uow.update(BusOffset, {"position": position}, id=group, position__lt=position)

        self._store.write(move)

    def ping(self) -> None:
        self._store.read(lambda uow: uow.get(BusOffset, ""))

    def close(self) -> None:
        """The store is closed by who opened it."""
