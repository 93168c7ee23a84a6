"""Which patients each replica sees at each step.

The order is a pure function of (seed of the replica, its patients, step): nothing has to be saved
to resume, and a replica draws the same batches alone as among others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

# Permutations are drawn in blocks of about this many indices: one generator per epoch of 40
# patients would cost more than the training step it feeds.
BLOCK = 4096
# Patients per replica in one forward pass that needs no gradient, and the most values they hold.
CHUNK = 4096
VALUES = 2**20
# Sets the streams of augmentation apart from those of the order: to numpy a key that ends in 0 is
# the key without it.
AUGMENT = 1
VIEW = 2

Augment = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]
"""Changes a replica's batch ``x [b, ...]``, ``y [b, ...]``."""


class View(Protocol):
    """Changes batches on the device; what is random is drawn beforehand, a few numbers a row."""

    def draw(self, generator: np.random.Generator, size: int) -> np.ndarray:
        """Float32 ``[size, p]``."""

    def __call__(self, x: Tensor, drawn: Tensor) -> Tensor:
        """``x [..., *row]`` changed as ``drawn [..., p]`` says."""


def order(rows: Sequence[int], seed: int, start: int, stop: int) -> np.ndarray:
    """Positions ``start..stop`` of an endless stream of shuffled passes over ``rows``."""
    block = max(1, BLOCK // len(rows)) * len(rows)
    drawn = [
        permutations(rows, seed, b, block) for b in range(start // block, math.ceil(stop / block))
    ]
    first = start // block * block
    return np.concatenate(drawn)[start - first : stop - first]


def permutations(rows: Sequence[int], seed: int, number: int, block: int) -> np.ndarray:
    """Block ``number`` of the stream: whole passes, each in an order of its own."""
    passes = np.tile(np.asarray(rows), (block // len(rows), 1))
    return np.random.default_rng([seed, number]).permuted(passes, axis=1).ravel()


@dataclass(frozen=True)
class Batches:
    """Chunks of training steps: ``x [k, R, b, ...]``, ``y [k, R, b]``, what a view draws.

    A chunk holds several optimiser steps because Lightning costs about a millisecond per call.

    Args:
        x: raw patients ``[n, ...]``, possibly a memory map.
        y: outcomes ``[n]``.
        rows: training rows of each replica.
        seeds: order seed of each replica.
        size: patients per batch.
        steps: optimiser steps in all.
        chunk: optimiser steps per chunk.
        rank: this process takes patients ``rank::world`` of every batch.
        world: how many processes share a batch.
        augment: changes a replica's batch, e.g. hides features.
        view: changes it on the device; its draws ``[k, R, b, p]`` come with the batch.
        first: steps of earlier trainings.
        resumed: steps of this training that are done.
    """

    x: np.ndarray
    y: np.ndarray
    rows: Sequence[Sequence[int]]
    seeds: Sequence[int]
    size: int
    steps: int
    chunk: int
    rank: int = 0
    world: int = 1
    augment: Augment | None = None
    view: View | None = None
    first: int = 0
    resumed: int = 0

    def __len__(self) -> int:
        return math.ceil((self.steps - self.first - self.resumed) / self.chunk)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for start in range(self.first + self.resumed, self.steps, self.chunk):
            yield self.take(start, min(start + self.chunk, self.steps))

    def take(self, start: int, stop: int) -> tuple[Tensor, ...]:
        """Steps ``start..stop`` of all replicas."""
        index = np.stack([self.index(r, start, stop) for r in range(len(self.rows))], axis=1)
        share = slice(self.rank, None, self.world)
        if self.augment:
            x, y = self.augmented(index, start, self.augment)
            x, y = x[:, :, share], y[:, :, share]
        else:
            mine = index[:, :, share]
            x, y = self.x[mine], self.y[mine]
        arrays = [x, y]
        if self.view:
            arrays.append(self.drawn(start, stop, self.view)[:, :, share])
        return tuple(map(torch.from_numpy, arrays))

    def drawn(self, start: int, stop: int, view: View) -> np.ndarray:
        """What the view draws for whole batches ``[k, R, size, p]``."""
        keys = [[(seed, step, VIEW) for seed in self.seeds] for step in range(start, stop)]
        return np.array([[view.draw(stream(*key), self.size) for key in step] for step in keys])

    def index(self, replica: int, start: int, stop: int) -> np.ndarray:
        """Rows of one replica ``[k, size]``."""
        rows, seed = self.rows[replica], self.seeds[replica]
        stream = order(rows, seed, start * self.size, stop * self.size)
        return stream.reshape(stop - start, self.size)

    def augmented(
        self, index: np.ndarray, start: int, augment: Augment
    ) -> tuple[np.ndarray, np.ndarray]:
        """Whole batches ``[k, R, size, ...]``, changed alike however many processes share them."""
        steps = [
            [
                augment(self.x[rows], self.y[rows], stream(seed, start + k, AUGMENT))
                for rows, seed in zip(index[k], self.seeds, strict=True)
            ]
            for k in range(len(index))
        ]
        x, y = (np.stack([[pair[i] for pair in step] for step in steps]) for i in (0, 1))
        return x, y


@dataclass(frozen=True)
class Pairs:
    """Batches of two cohorts, and the share of training done ``[k, R]``."""

    main: Batches
    beside: Batches

    def __len__(self) -> int:
        return len(self.main)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        done = self.main.resumed
        for ours, theirs in zip(self.main, self.beside, strict=True):
            steps = torch.arange(done, done + len(ours[0]), dtype=torch.float32)
            share = steps / (self.main.steps - self.main.first)
            yield *ours, *theirs, share[:, None].expand(-1, len(self.main.rows)).contiguous()
            done += len(steps)


def stream(*key: int) -> np.random.Generator:
    """The chance that belongs to this key."""
    return np.random.default_rng(key)


def together(*augments: Augment | None) -> Augment | None:
    """One change after the other; None where there is none."""
    wanted = [augment for augment in augments if augment]
    if not wanted:
        return None

    def augment(
        x: np.ndarray, y: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        for change in wanted:
            x, y = change(x, y, generator)
        return x, y

    return augment


def hide(columns: Sequence[int], probability: float) -> Augment:
    """Make the network live without features the other cohort lacks.

    Each patient of a batch loses all of ``columns`` together with ``probability``.
    """

    def augment(
        x: np.ndarray, y: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        hidden = generator.random(x.shape[:-1]) < probability
        masked = x.copy()
        masked[..., list(columns)] = np.where(hidden[..., None], np.nan, x[..., list(columns)])
        return masked, y

    return augment


def padded(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Ragged rows as ``index [R, m]`` and ``mask [R, m]``; padding repeats a replica's rows."""
    longest = max(map(len, rows))
    index = np.stack([np.resize(r, longest) for r in rows])
    mask = np.arange(longest) < np.array([len(r) for r in rows])[:, None]
    return index, mask


def chunk(x: np.ndarray) -> int:
    """How many patients ``[n, ...]`` go through a network together: fewer where one holds much."""
    return max(64, min(CHUNK, VALUES // max(1, int(np.prod(x.shape[1:])))))
