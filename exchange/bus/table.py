"""The table bus: an append-only log table and an offset table in the same database. At least once, in order, replayable."""

from collections.abc import Sequence

from exchange.ports import BusMessage, Store, UnitOfWork
from exchange.records import BusEntry, BusOffset


class TableBus:
    """Implements ports.Bus. One relay publishes at a time, so positions rise with commit."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def publish(self, events: Sequence[BusMessage]) -> None:
        """Append what is not there yet: a relay that died after publishing comes again with the same ids."""

        def append(uow: UnitOfWork) -> None:
            last = uow.find(BusEntry, order="-position", limit=1)
            position = last[0].position if last else 0
            for event in events:
                if uow.get(BusEntry, event.event_id) is None:
                    position += 1
                    uow.insert(BusEntry(event.event_id, position, event.key, event.type, event.body))

        self._store.write(append)

    def fetch(self, group: str, limit: int) -> Sequence[BusMessage]:
        """The next messages after the group's committed offset."""

        def read(uow: UnitOfWork) -> list[BusMessage]:
            offset = uow.get(BusOffset, group)
            rows = uow.find(BusEntry, order="position", limit=limit, position__gt=offset.position if offset else 0)
            return [BusMessage(row.id, row.position, row.key, row.type, row.body) for row in rows]

        return self._store.read(read)

    def commit(self, group: str, position: int) -> None:
        """Everything up to `position` has had its effect; never moves back."""

        def move(uow: UnitOfWork) -> None:
            if uow.lock(BusOffset, group) is None:
                uow.insert(BusOffset(group, position))
            else:
                uow.update(BusOffset, {"position": position}, id=group, position__lt=position)

        self._store.write(move)
