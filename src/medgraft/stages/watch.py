"""How busy the machine is while a stage runs; MLflow is told once the run is tracked."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SAMPLED_EVERY = 10.0  # seconds, as in MLflow


@contextmanager
def watched() -> Iterator[list[dict[str, float]]]:
    """Collect, every `SAMPLED_EVERY` seconds, how busy the machine is; under MLflow's names.

    ``time`` is in milliseconds since 1970. Short stages have no sample.
    """
    import psutil  # here, as who only serves a model has no use for it

    samples: list[dict[str, float]] = []
    over = threading.Event()

    def watch() -> None:
        psutil.cpu_percent()  # tells of the time since the last call, and nothing at the first
        while not over.wait(SAMPLED_EVERY):
            memory = psutil.virtual_memory()
            samples.append(
                {
                    "time": round(time.time() * 1000),
                    "cpu_utilization_percentage": psutil.cpu_percent(),
                    "system_memory_usage_megabytes": memory.used / 1e6,
                    "system_memory_usage_percentage": memory.percent,
                }
            )

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield samples
    finally:
        over.set()
