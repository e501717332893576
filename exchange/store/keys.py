"""Data keys and index keys as the store uses them: looked up, made on first use, cached for a minute."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from exchange.ports import Sealer

_LIFE_SECONDS = 60.0
_SIZE = 1000


@dataclass(slots=True)
class KeyCache:
    """Unwrapped data keys by owner and by id: at most 1,000 for 60 seconds (envelope.md section 2, memory)."""

    sealer: Sealer
    _by_owner: "OrderedDict[tuple[str, str], tuple[str, bytes, float]]" = field(default_factory=OrderedDict, repr=False)
    _by_id: dict[str, tuple[tuple[str, str], bytes, float]] = field(default_factory=dict, repr=False)
    index_keys: list[tuple[int, bytes]] = field(default_factory=list, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def of_owner(self, owner: tuple[str, str]) -> tuple[str, bytes] | None:
        with self._lock:
            found = self._by_owner.get(owner)
            if found is None or found[2] < time.monotonic():
                return None
            return found[0], found[1]

    def by_id(self, key_id: str) -> bytes | None:
        with self._lock:
            found = self._by_id.get(key_id)
            return None if found is None or found[2] < time.monotonic() else found[1]

    def keep(self, owner: tuple[str, str], key_id: str, key: bytes) -> None:
        until = time.monotonic() + _LIFE_SECONDS
        with self._lock:
            old = self._by_owner.pop(owner, None)
            if old is not None:
                self._by_id.pop(old[0], None)
            self._by_owner[owner] = (key_id, key, until)
            self._by_id[key_id] = (owner, key, until)
            while len(self._by_owner) > _SIZE:
                _, (oldest, _, _) = self._by_owner.popitem(last=False)
                self._by_id.pop(oldest, None)

    def forget(self, owner: tuple[str, str]) -> None:
        """Drop the key of an owner that was erased."""
        with self._lock:
            found = self._by_owner.pop(owner, None)
            if found is not None:
                self._by_id.pop(found[0], None)
