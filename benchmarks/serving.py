"""How fast the champion answers: from a file, from Python, as a service; and whether all agree.

    python benchmarks/serving.py work/champion data/breast/clinic.csv

The records of the file are repeated until there are enough. The service is `mlflow models serve`,
asked over 127.0.0.1 in JSON, first by one client for many records at a time, then by eight clients
for one record at a time, for a minute. Ends with code 1 where an answer differs by more than 1e-6,
a request fails, or nonsense is not refused with status 400, the reason and no stack trace.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from medgraft.deployment.champion import SERVING, source_of
from medgraft.deployment.model import load
from medgraft.deployment.registry import save
from medgraft.preparation.arrays import seal

RECORDS = 100_000
BATCH = 1000  # records a request, asked by one client
CLIENTS, SECONDS = 8, 60
AGREE = 1e-6
HEADERS = {"Content-Type": "application/json"}


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the clock, and what came of it."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def up_to_date(champion: Path, folder: Path) -> Path:
    """The champion with the serving code of this checkout."""
    shutil.copytree(champion, folder)
    shutil.copyfile(source_of(SERVING), folder / "serve.py")
    seal(folder)
    return folder


def by_command(champion: Path, records: pl.DataFrame, folder: Path) -> tuple[float, pl.DataFrame]:
    """Seconds of `medgraft predict` on a file, start-up included, and its answers."""
    source, target = folder / "new.csv", folder / "answers.parquet"
    records.write_csv(source)
    files = ["--input", source, "--output", target, "--champion", champion]
    command = [sys.executable, "-m", "medgraft.cli", "predict", *files]
    seconds, _ = timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
    return seconds, pl.read_parquet(target)


def by_python(model: Path, records: pl.DataFrame) -> tuple[float, pl.DataFrame]:
    """Seconds of a loaded MLflow model, and its answers."""
    import mlflow.pyfunc
    import pandas as pd

    loaded, frame = (
        mlflow.pyfunc.load_model(str(model)),
        pd.DataFrame(records.to_dict(as_series=False)),
    )
    loaded.predict(frame.head(2))
    seconds, answers = timed(lambda: loaded.predict(frame))
    return seconds, pl.DataFrame(answers.to_dict(orient="list"))


@contextmanager
def service(model: Path, folder: Path) -> Iterator[int]:
    """The port of a server of its own, which is ended with all its processes."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    options = ["-m", str(model), "--env-manager", "local", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "mlflow", "models", "serve", *options]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(240):
            with suppress(OSError):
                client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                client.request("GET", "/ping")
                client.getresponse().read()
                break
            time.sleep(0.5)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def post(client: http.client.HTTPConnection, body: bytes) -> tuple[int, bytes]:
    """Status and content of the answer."""
    client.request("POST", "/invocations", body, HEADERS)
    answer = client.getresponse()
    return answer.status, answer.read()


def request_of(records: pl.DataFrame) -> bytes:
    """Records as MLflow's server takes them."""
    rows = [list(row) for row in records.rows()]
    return json.dumps({"dataframe_split": {"columns": records.columns, "data": rows}}).encode()


def by_service(port: int, records: pl.DataFrame) -> tuple[float, pl.DataFrame]:
    """Seconds of one client that asks about `BATCH` records at a time, and the answers."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    bodies = [request_of(part) for part in records.iter_slices(BATCH)]
    post(client, bodies[0])
    seconds, answers = timed(lambda: [post(client, body) for body in bodies])
    assert {status for status, _ in answers} == {200}
    rows = [row for _, content in answers for row in json.loads(content)["predictions"]]
    return seconds, pl.DataFrame(rows)


def by_clients(port: int, records: pl.DataFrame) -> tuple[np.ndarray, int]:
    """Seconds of every request of many clients for one record each, and how many failed."""
    bodies = [request_of(records[row]) for row in range(min(len(records), 500))]
    took: list[list[float]] = [[] for _ in range(CLIENTS)]
    failed = [0] * CLIENTS
    end = time.monotonic() + SECONDS

    def ask(number: int) -> None:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while time.monotonic() < end:
            body = bodies[(len(took[number]) * CLIENTS + number) % len(bodies)]
            start = time.perf_counter()
            try:
                sound = post(client, body)[0] == 200
            except OSError:
                sound = False
                client.close()
            took[number].append(time.perf_counter() - start)
            failed[number] += not sound

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return np.concatenate(took), sum(failed)


def refuses_nonsense(port: int) -> bool:
    """Whether columns that are not there are the client's fault, told in words."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    status, content = post(client, request_of(pl.DataFrame({"none": [1]})))
    told = json.loads(content)
    print(f"nonsense: {status}, {told['message'].splitlines()[0]!r}")
    return (
        status == 400 and "is declared and absent" in told["message"] and "stack_trace" not in told
    )


def farthest(one: pl.DataFrame, other: pl.DataFrame) -> float:
    """The largest distance between two tables' numbers."""
    names = [name for name, kind in one.schema.items() if kind.is_float()]
    assert names
    assert len(one) == len(other)
    return max(float((one[name] - other[name].cast(pl.Float64)).abs().max()) for name in names)


def main() -> None:
    """Print a table."""
    champion, source = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        fresh, model = up_to_date(champion, folder / "champion"), folder / "model"
        save(model, fresh)
        columns = list(load(fresh).records.columns)
        few = pl.read_csv(source, infer_schema=False).fill_null("").select(columns)
        records = pl.concat([few] * (RECORDS // len(few) + 1)).head(RECORDS)
        start, _ = by_command(fresh, few.head(1), folder)
        seconds, answers = by_command(fresh, records, folder)
        print(f"medgraft predict: {seconds:.1f} s, {RECORDS / seconds:,.0f} records/s")
        print(
            f"    of it start-up {start:.1f} s, then {RECORDS / (seconds - start):,.0f} records/s"
        )
        seconds, python = by_python(model, records)
        print(f"load_model(...).predict: {RECORDS / seconds:,.0f} records/s")
        with service(model, folder) as port:
            seconds, served = by_service(port, records)
            print(f"models serve, {BATCH} records a request: {RECORDS / seconds:,.0f} records/s")
            took, failed = by_clients(port, few)
            p50, p95 = np.quantile(took, [0.5, 0.95]) * 1000
            print(
                f"models serve, {CLIENTS} clients, one record a request, {SECONDS} s: "
                f"{len(took) / SECONDS:.0f} requests/s, p50 {p50:.0f} ms, p95 {p95:.0f} ms, "
                f"{failed} of {len(took):,} failed"
            )
            sound = refuses_nonsense(port)
        apart = max(farthest(answers, python), farthest(answers, served))
    print(f"answers of the three differ by at most {apart:.1e}")
    raise SystemExit(not (sound and not failed and apart <= AGREE))


if __name__ == "__main__":
    main()
