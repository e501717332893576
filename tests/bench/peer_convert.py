"""Run by `tests.bench.survival` in a peer's own environment. Arguments: the import that names its `convert`, the least CPU
seconds a file. Paths on standard input; a line of JSON for each: path, what it made as text ("" when it refused), CPU seconds of a run."""

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

logging.disable()
found: dict[str, Any] = {}
exec(sys.argv[1], found)  # a constant of the bench
for path in sys.stdin.read().splitlines():
    text = Path(path).read_bytes().decode("utf-8", "replace")
    made, seconds = "", 0.0
    try:
        began, times = time.process_time(), 0
        while time.process_time() - began < float(sys.argv[2]):
            result = found["convert"](text)
            times += 1
        seconds = (time.process_time() - began) / times
        made = json.dumps(result, default=lambda one: getattr(one, "__dict__", None) or str(one), ensure_ascii=False)
    except Exception:  # noqa: BLE001  # what a peer raises is its refusal
        made = ""
    print(json.dumps([path, made, seconds]), flush=True)
