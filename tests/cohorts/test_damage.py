import os
import sys
import threading

import numpy as np
import polars as pl
import pytest

from medgraft.cohorts import damage
from medgraft.cohorts.readers import parquet
from medgraft.errors import CohortError


def test_only_pythons_words_are_seen(capfd):
    with damage.silence():
        os.write(damage.STDERR, b"thread panicked\n")
        print("ours", file=sys.stderr)
    os.write(damage.STDERR, b"afterwards\n")
    assert capfd.readouterr().err == "ours\nafterwards\n"


def test_silence_of_two_threads_ends(capfd):
    def once():
        with damage.silence():
            pass

    threads = [threading.Thread(target=once) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(damage.STDERR, b"heard")
    assert capfd.readouterr().err == "heard"


def test_panic_becomes_one_sentence(capfd, tmp_path):
    path = tmp_path / "a.parquet"
    with pytest.raises(CohortError) as caught, damage.refused(path):
        raise pl.exceptions.PanicException('JoinError::Panic(Id(7), "range.end <= self.size")')
    assert str(caught.value) == f"{path}: not a whole parquet table: damaged or cut short"


def test_damaged_tables_print_nothing(capfd, tmp_path):
    """Three bits flipped in 200 ways; polars 2.1.0 panics over two of them."""
    path = tmp_path / "a.parquet"
    numbers = {"age": [50.0, 60.0], "lab": [1.0, 2.0], "sex": [0, 1], "extra": [1.0, 2.0]}
    pl.DataFrame({"id": ["a", "b"], **numbers}).write_parquet(path)
    sound = path.read_bytes()
    said = []
    for seed in range(200):
        stream, data = np.random.default_rng(seed), bytearray(sound)
        for _ in range(3):
            data[stream.integers(len(data))] ^= 1 << stream.integers(8)
        path.write_bytes(data)
        try:
            parquet.read(path, expected=["id", *numbers])
        except CohortError as error:
            said.append(str(error))
    assert said
    assert not any("Panic" in one for one in said)
    assert capfd.readouterr().err == ""
