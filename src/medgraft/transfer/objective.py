"""The loss of a strategy that asks for more than few errors on the target."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from medgraft.transfer.seen import Seen


class Objective(nn.Module):
    """A network whose training losses carry a penalty and what it makes of a second cohort.

    In evaluation mode it is the network itself: its outputs, and its losses without either.

    Args:
        network: what is trained.
        start: a copy that stays where training started.
        penalty: of ``transfer.penalty``.
        alignment: of ``transfer.alignment``.
        joint: the second cohort's outcomes are learned too.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        start: nn.Module | None = None,
        penalty: nn.Module | None = None,
        alignment: nn.Module | None = None,
        joint: bool = False,
    ) -> None:
        super().__init__()
        self.network, self.start = network, start
        self.penalty, self.alignment = penalty, alignment
        self.joint = joint

    def train(self, mode: bool = True) -> Objective:
        """Set the mode; the start never learns, not even running statistics."""
        super().train(mode)
        if self.start is not None:
            self.start.eval()
        return self

    def forward(self, x: Tensor, y: Tensor | None = None, *beside: Any) -> Tensor:
        """Losses ``[n]`` of patients ``x [n, ...]``; without ``y``, or not in training, as plain.

        ``beside``: patients ``[n, ...]`` and outcomes ``[n, ...]`` of the second cohort, and the
        share of training that is done ``[]``.
        """
        if y is None or not self.training:
            return self.network(x, y)
        seen = Seen(self.network, x, y, start=self.start)
        losses = seen.losses
        if self.penalty is not None:
            losses = losses + self.penalty(seen)
        if beside:
            losses = losses + self.shared(seen, *beside)
        return losses

    def shared(self, seen: Seen, x: Tensor, y: Tensor, progress: Tensor) -> Tensor:
        """What the second cohort adds to the losses."""
        other = Seen(self.network, x, y)
        learned = other.losses if self.joint else x.new_zeros(())
        if self.alignment is None:
            return learned
        return learned + self.alignment(seen.features, other.features, progress)
