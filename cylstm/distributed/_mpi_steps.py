"""Steps over several ranks: what one batch does where its samples are on all of them."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from cylstm import _random
from cylstm._rows import Rows
from cylstm.callbacks import Callback
from cylstm.layers._own_code import training_of
from cylstm.training._data import Samples
from cylstm.training._steps import NaNError, Steps
from cylstm.training._trainable import Pass
from cylstm.variables import Variable, set_at_once

__all__ = ["DistributedSteps", "Flat", "Reduced"]


class Reduced(list[Any]):
    """Gradients that are those of all ranks already."""


class Flat:
    """Where the arrays of variables are in one flat buffer of all of them."""

    def __init__(self, variables: Sequence[Variable]) -> None:
        self.length = sum(v.size for v in variables)
        self.dtype: np.dtype = np.result_type(np.float32, *(v.dtype for v in variables))
        self._variables = variables
        self._ends = np.cumsum([v.size for v in variables]).tolist()

    def views(self, buffer: np.ndarray) -> list[np.ndarray]:
        """Where the arrays go in a buffer."""
        return [
            buffer[end - v.size : end].reshape(v.shape)
            for v, end in zip(self._variables, self._ends, strict=True)
        ]

    def filled(self, arrays: Sequence[Any]) -> np.ndarray:
        """A buffer with the arrays, one behind the other."""
        buffer = np.empty(self.length, self.dtype)
        for view, array in zip(self.views(buffer), arrays, strict=True):
            view[...] = array
        return buffer

    def taken(self, views: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The arrays where they are in a buffer, in the dtypes of their variables."""
        return [
            view if view.dtype == v.dtype else view.astype(v.dtype)
            for view, v in zip(views, self._variables, strict=True)
        ]


@dataclass
class _Part:
    """A pass of some samples of this rank, and what it says of them."""

    size: int
    run: Pass
    of_outputs: Any
    read: list[tuple[Variable, np.ndarray]]  # gradients of what code of the user's own reads
    sums: np.ndarray  # what is added up over all parts
    norms: list[float]  # of its own
    moved: list[np.ndarray]  # moving statistics, minus what they were


class DistributedSteps(Steps):
    """The steps of a model with a `DistributedOptimizer`; see `Steps`."""

    def __init__(self, model: Any, objective: Any) -> None:
        super().__init__(model, objective)
        self._optimizer = model.optimizer
        self._ranks = model.optimizer.ranks
        self._moving = [v for v in self._weights if not v.trainable]
        self._kinds: list[bool] | None = None
        self._are_equal = False
        self._counted = (0, 0)
        if self._optimizer.split_batches and self._stateful:
            raise ValueError(
                f"Layer {self._stateful[0].name} is stateful: give each rank streams of its own, "
                "and no split_batches=True or deterministic=True."
            )

    # ------------------------------------------------------------------ epochs

    def called(self, listed: list[Any]) -> list[Any]:
        """The callbacks that this rank calls."""
        return [c for c in listed if self._ranks.rank == 0 or not getattr(c, "on_root_only", False)]

    def begin(self, feed: Any, listed: list[Any]) -> None:
        """Agree on how many batches an epoch has, and whether to agree on its end after each."""
        self._are_equal = False
        asks = any(map(_may_stop_batches, listed))
        self._batches, asks_any = self._ranks.largest(feed.batches, asks)
        self._asks = bool(asks_any)

    def epoch(self, feed: Any) -> Iterator[tuple[int, Samples]]:
        """The batches of an epoch; after them empty ones, while other ranks have some."""
        count = 0
        order = None  # of each rank's own; or all of them draw what the first one draws
        if self._optimizer.split_batches:
            order = self._ranks.bcast(_random.default_generator())
        batches = iter(feed.epoch())
        while True:
            with _random.drawing_from(order):
                item = next(batches, None)
            if item is None:
                break
            yield item
            count += 1
            _, batch = item
        for _ in range(int(self._batches) - count):
            yield 0, batch.take(slice(0, 0))

    def counted(self, size: int) -> int:
        """What the last batch counts in means, of which this rank has so much."""
        own, every = self._counted
        return every if size == own and not self._optimizer.split_batches else size

    def stopped(self, in_epoch: bool = False) -> bool:
        """Whether training stops on any rank, and so on all."""
        if in_epoch and not self._asks:
            return bool(self._model.stop_training)
        (stops,) = self._ranks.largest(self._model.stop_training)
        self._model.stop_training = bool(stops)
        return bool(stops)

    def tested(self, batches: Iterable[tuple[int, Samples]]) -> Iterator[tuple[int, list[float]]]:
        """What each batch counts, and its values: of the batches of all ranks, in their order."""
        rank, size = self._ranks.rank, self._ranks.size
        found = []
        for number, (count, batch) in enumerate(batches):
            if not self._optimizer.split_batches:
                found.append((number * size + rank, count, self.test(batch)))
            elif number % size == rank:
                found.append((number, count, self.test(batch)))
        every = sorted(entry for part in self._ranks.gather(found) for entry in part)
        return ((count, values) for _, count, values in every)

    # ------------------------------------------------------------------ a batch

    def _evaluate(self, samples: Samples) -> tuple[list[float], list[np.ndarray | Rows]]:
        """See `Steps`: the same, of the samples of all ranks."""
        self._check_equal()
        ranges, blocks = self._blocks(samples)
        with self._as_compiled():
            parts = {number: self._forward(number, block) for number, block in blocks}
            values, norms = self._together(parts, ranges)
            if math.isnan(values[0]):
                raise NaNError.of_loss(values, self._whose_nan(parts, samples))
            if self._optimizer.deterministic:
                found = self._added_in_order(parts, ranges, norms)
            else:
                found = self._added(parts, norms)
            gradients = Reduced(self._with_penalties(found[: len(self._variables)]))
            self._check_gradients(gradients, values)
            self._move(found[len(gradients) :])
            return values, gradients

    def _blocks(self, samples: Samples) -> tuple[list[tuple[int, int]], list[tuple[int, Samples]]]:
        """Which parts the samples of all have on each rank, and those of this one."""
        optimizer, count = self._optimizer, samples.size
        rank, size = self._ranks.rank, self._ranks.size
        if not optimizer.split_batches:
            return [(r, r + 1) for r in range(size)], [(rank, samples)] if count else []
        if not optimizer.deterministic:
            own = slice(count * rank // size, count * (rank + 1) // size)
            blocks = [(rank, samples.take(own))] if own.start < own.stop else []
            return [(r, r + 1) for r in range(size)], blocks
        rows = optimizer.block_size
        number = -(-count // rows)
        ranges = [(number * r // size, number * (r + 1) // size) for r in range(size)]
        cuts = [(n, slice(n * rows, min((n + 1) * rows, count))) for n in range(*ranges[rank])]
        return ranges, [(n, samples.take(cut)) for n, cut in cuts]

    def _forward(self, number: int, samples: Samples) -> _Part:
        key = (self._optimizer.seed, self._optimizer.iterations, number)
        before = [v.value for v in self._moving]
        with _random.drawing_from(_random.Keyed(key)), training_of(self._variables) as read:
            run = self._model._run(samples.inputs, None, True, keep=True)
        moved = [v.value - old for v, old in zip(self._moving, before, strict=True)]
        for variable, old in zip(self._moving, before, strict=True):
            if variable.value is not old:  # each part begins with the same
                set_at_once(variable.replacement(old))
        outputs = [run.values[id(t)] for t in self.outputs]
        masks = [run.masks[id(t)] for t in self.outputs]
        values, of_outputs = self.objective.assess(outputs, masks, samples.targets, samples.weights)
        counts = [
            _counts(outputs[goal.index], masks[goal.index], weight)
            for goal, weight in zip(self.objective.goals, samples.weights, strict=True)
        ]
        norms = self._norms(counts)
        weighed = [v * n if n else 0.0 for v, n in zip(values, norms, strict=True)]
        sums = [samples.size, sum(run.activity_penalties()), *chain(*counts), *weighed, 1.0]
        return _Part(samples.size, run, of_outputs, read, np.array(sums, float), norms, moved)

    def _norms(self, counts: Sequence[Sequence[float]]) -> list[float]:
        """What each of the values of the objective was divided by, in their order."""
        weighed, plain = [], []
        for counted, of_mask, of_weights, of_outputs in counts:
            mean = counted / of_mask if of_mask else 1.0
            weighed.append(mean * of_weights)
            plain.append(mean * of_outputs)
        found = list(weighed) if self.objective.several else []
        for goal, one, other in zip(self.objective.goals, weighed, plain, strict=True):
            found += [other] * len(goal.metrics) + [one] * len(goal.weighted_metrics)
        # The total of one goal is its loss; that of several is computed from theirs.
        return [weighed[0] if len(weighed) == 1 else 1.0, *found]

    def _together(
        self, parts: dict[int, _Part], ranges: list[tuple[int, int]]
    ) -> tuple[list[float], list[float]]:
        """The values for all samples, and what the losses of goals are divided by."""
        width = 3 + 4 * len(self.objective.goals) + len(self.objective.names)
        rows = np.array([part.sums for part in parts.values()], float).reshape(-1, width)
        if self._optimizer.deterministic:
            sums = self._ranks.add_in_order(rows, ranges)
        else:
            sums = rows.sum(axis=0)
            self._ranks.add(sums)
        own = sum(part.size for part in parts.values())
        self._counted = own, int(sums[0])
        self._some_have_none = sums[-1] < self._ranks.size
        norms = self._norms(sums[2 : 2 + 4 * len(self.objective.goals)].reshape(-1, 4).tolist())
        weighed = sums[-1 - len(norms) : -1].tolist()
        values = [v / n if n else math.nan for v, n in zip(weighed, norms, strict=True)]
        goals = self.objective.goals
        if self.objective.several:
            losses = zip(goals, values[1:], strict=False)
            values[0] = sum(goal.weight * value for goal, value in losses)
        values[0] += self._weight_penalties() + float(sums[1]) + self._constant_losses()
        return values, norms[1 : 1 + len(goals)] if self.objective.several else norms[:1]

    def _pulled(self, part: _Part, norms: list[float]) -> list[Any]:
        """The gradients of a part, in its share of the loss, and how it moves statistics."""
        own = part.norms[1:] if self.objective.several else part.norms
        shares = [a / b for a, b in zip(own, norms, strict=False)]
        of_outputs = partial(part.of_outputs, shares=shares)
        gradients = self._gradients(part.run, of_outputs, part.read)
        return [*gradients, *(moved * (part.size / self._counted[1]) for moved in part.moved)]

    def _added(self, parts: dict[int, _Part], norms: list[float]) -> list[Any]:
        """The sums of what `_pulled` gives, in the fastest order."""
        found = [self._pulled(part, norms) for part in parts.values()]
        kinds = [isinstance(array, Rows) for array in found[0]] if found else None
        if self._some_have_none:
            kinds = next(k for k in self._ranks.gather(kinds) if k is not None)
        variables = [*self._variables, *self._moving]
        if kinds != self._kinds:
            self._flat = Flat(
                [v for v, rows in zip(variables, kinds or [], strict=True) if not rows]
            )
            self._buffer = np.empty(self._flat.length, self._flat.dtype)
            self._kinds, self._views = kinds, self._flat.views(self._buffer)
        if found:
            dense = (a for a, rows in zip(found[0], kinds or [], strict=True) if not rows)
            for view, array in zip(self._views, dense, strict=True):
                view[...] = array
        else:
            self._buffer.fill(0)
        self._ranks.add(self._buffer)
        arrays = iter(self._flat.taken(self._views))
        return [
            self._ranks.add_rows(found[0][place] if found else None, variable)
            if rows
            else next(arrays)
            for place, (variable, rows) in enumerate(zip(variables, kinds or [], strict=True))
        ]

    def _added_in_order(
        self, parts: dict[int, _Part], ranges: list[tuple[int, int]], norms: list[float]
    ) -> list[Any]:
        """The same in an order that does not depend on the number of ranks."""
        flat = Flat([*self._variables, *self._moving])

        def leaf(number: int) -> np.ndarray:
            return flat.filled(self._pulled(parts.pop(number), norms))  # no longer kept

        whole = self._ranks.add_tree(leaf, flat.length, flat.dtype, ranges)
        return flat.taken(flat.views(whole))

    def _move(self, moved: list[np.ndarray]) -> None:
        """Change the moving statistics."""
        for variable, change in zip(self._moving, moved, strict=True):
            if change.any():
                variable.assign(variable.value + change)

    # ------------------------------------------------------------------ what goes wrong

    def _check_equal(self) -> None:
        """Before the first batch: the ranks have the same weights."""
        if self._are_equal:
            return
        wrapped = self._optimizer.wrapped
        sum_of_all = zlib.crc32(f"{wrapped!r} {wrapped.iterations}".encode())
        for variable in self._weights:
            sum_of_all = zlib.crc32(np.ascontiguousarray(variable.value).data, sum_of_all)
        found = self._ranks.gather((sum_of_all, self._optimizer.split_batches))
        if len(set(found)) > 1:
            raise RuntimeError(
                "The ranks do not begin with the same weights, or not with the same optimizer: "
                "give fit the callback cylstm.distributed.BroadcastWeights(), or call "
                "cylstm.utils.set_random_seed(seed) first."
            )
        self._are_equal = True

    def _whose_nan(self, parts: dict[int, _Part], samples: Samples) -> str:
        if any(np.isnan(part.sums).any() for part in parts.values()):
            return self._why_nan(samples)
        return "It is not of the samples of this rank: another one says more."


def _counts(output: np.ndarray, mask: Any, weight: Any) -> tuple[float, ...]:
    """Steps that a mask leaves, and all of them; samples of a weight, and of none."""
    every = math.prod(output.shape[:-1]) if output.ndim > 1 else len(output)
    masked = (0, 0) if mask is None else (np.count_nonzero(mask), np.size(mask))
    return (*masked, every if weight is None else np.count_nonzero(weight), every)


def _may_stop_batches(callback: Any) -> bool:
    """Whether a callback may end training in an epoch, on this rank alone."""
    cls = type(callback)
    ours = cls.__module__.startswith("cylstm.callbacks.")
    return any(
        name in vars(callback)  # of a LambdaCallback
        or not (ours or getattr(cls, name, None) is getattr(Callback, name))
        for name in ("on_batch_begin", "on_batch_end")
    )
