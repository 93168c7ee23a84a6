"""Parts of a file read by the processes of a Ray cluster, in the order of the file."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from medgraft.cluster import connect
from medgraft.cohorts.parts import Part
from medgraft.errors import MedgraftError

AHEAD = 2  # tasks for every processor, so that none waits for this process

Share = tuple[int, int]


def in_order(read: Callable[[int, int], Iterator[Part]], shares: Sequence[Share]) -> Iterator[Part]:
    """What `read(start, rows)` yields of every share, as if it had been called here.

    Its processes see this folder. Ray repeats a task whose process or machine has died. RAY_ADDRESS
    names the cluster; without it there is one of this machine. At most a few shares a processor
    are in memory.

    Raises:
        MedgraftError: what `read` raises; there is no Ray, no cluster, or its processes keep dying.
    """
    ray = connect("cohort.read_on=ray", cpus=os.cpu_count() or 1)
    try:
        task = ray.remote(_in_its_process)
        room = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 0)))
        waiting: deque[Any] = deque()
        for share in shares:
            if len(waiting) == room:
                yield from _answer(ray, waiting.popleft())
            waiting.append(task.remote(str(Path.cwd()), read, share))
        while waiting:
            yield from _answer(ray, waiting.popleft())
    finally:
        ray.shutdown()


def _answer(ray: Any, task: Any) -> list[Part]:
    try:
        found: list[Part] = ray.get(task)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, MedgraftError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[0]
        raise MedgraftError(f"cohort.read_on=ray: its processes died: {reason}") from None
    return found


def _in_its_process(
    root: str, read: Callable[[int, int], Iterator[Part]], share: Share
) -> list[Part]:
    os.umask(0o077)
    os.chdir(root)
    return list(read(*share))
