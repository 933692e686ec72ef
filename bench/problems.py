"""What is computed: shapes, and the weights and inputs that every peer is given alike."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["FRAMES", "MODES", "Case", "Data", "Shape", "default_shapes", "make_data", "plan"]

MODES = ("step", "forward", "train")
FRAMES = 16
"""How many frames a streaming peer is fed to see whether it agrees with the others."""

TOLERANCES = {"float32": 1e-4, "float64": 1e-9}
"""How far results may lie apart, relative to the largest number of an array."""


@dataclass(frozen=True)
class Shape:
    """Batch, timesteps, input_dim and units."""

    batch: int
    timesteps: int
    input_dim: int
    units: int

    @classmethod
    def parse(cls, text: str) -> Shape:
        """Read ``"B,T,D,U"``.

        Raises
        ------
        ValueError
            If these are not four positive integers.

        Examples
        --------
        >>> Shape.parse("32,100,64,128")
        Shape(batch=32, timesteps=100, input_dim=64, units=128)
        """
        try:
            sizes = [int(word) for word in text.split(",")]
        except ValueError:
            sizes = []
        if len(sizes) != 4 or min(sizes) < 1:
            raise ValueError(f"A shape is four positive integers B,T,D,U; got {text!r}.")
        return cls(*sizes)

    def __str__(self) -> str:
        return f"{self.batch},{self.timesteps},{self.input_dim},{self.units}"


def _shapes(*texts: str) -> list[Shape]:
    return [Shape.parse(text) for text in texts]


LADDER = _shapes(
    "1,1,32,64",
    "1,1,64,256",
    "1,100,64,128",
    "1,100,128,512",
    "8,100,64,128",
    "32,100,64,128",
    "32,100,128,256",
    "64,50,256,512",
    "128,20,512,1024",
)
"""From one step of a small layer to the products of a large one."""

PUBLISHED = _shapes(
    "1,150,256,256",  # DeepBench
    "64,150,256,256",  # DeepBench
    "16,25,512,512",  # DeepBench
    "1,50,1536,1536",  # DeepBench
    "1,50,512,512",  # oneDNN, GNMT
    "64,50,512,512",  # oneDNN, GNMT
    "64,100,512,512",  # PyTorch's fastrnns
    "256,256,256,32",  # Keras 3
    "32,80,128,128",  # IMDB reviews
    "1,1,1,24",  # RTNeural: a sample of audio
    "8,2000,256,256",  # long sequences
    "500,5,510,32",  # many short ones
)
"""Shapes that others publish times of."""

BATCHES = _shapes("8,100,64,128", "32,100,64,128", "32,100,128,256", "64,50,256,512")
"""For float64 and for ragged lengths."""

STEPS = _shapes("1,1,32,64", "1,1,128,128", "1,1,64,256", "1,1,1,24")
"""One frame at a time."""

QUICK = _shapes("1,1,32,64", "8,100,64,128", "32,100,64,128")
"""For a first look."""


@dataclass(frozen=True)
class Case:
    """One thing to be timed.

    Attributes
    ----------
    mode : {"step", "forward", "train"}
        A frame through a stream, whole sequences, or those and their gradients.
    shape : Shape
        Its `timesteps` is 1 for a step.
    dtype : {"float32", "float64"}
        Of all arrays.
    ragged : bool
        Whether the sequences have lengths from a fifth to all of the timesteps.
    """

    mode: str
    shape: Shape
    dtype: str = "float32"
    ragged: bool = False

    @property
    def lengths(self) -> np.ndarray | None:
        """(batch,) int32, in a mixed but fixed order; None where all are of full length."""
        if not self.ragged:
            return None
        steps = self.shape.timesteps
        spread = np.linspace(max(1, steps / 5), steps, self.shape.batch)
        return np.random.default_rng(1).permutation(np.rint(spread).astype(np.int32))

    @property
    def tolerance(self) -> float:
        """See `TOLERANCES`."""
        return TOLERANCES[self.dtype]

    @property
    def flops(self) -> int:
        """Multiplications and additions of the products over the real steps, forward 1, train 3."""
        s = self.shape
        steps = s.batch * s.timesteps if self.lengths is None else int(self.lengths.sum())
        passes = 3 if self.mode == "train" else 1
        return passes * 2 * steps * (s.input_dim + s.units) * 4 * s.units

    @property
    def streamed_bytes(self) -> int:
        """The bytes of weights that a batch of one must read, forward."""
        s = self.shape
        words = 4 * s.units * (s.input_dim + s.units * s.timesteps)
        return words * np.dtype(self.dtype).itemsize

    def __str__(self) -> str:
        ragged = ", ragged" if self.ragged else ""
        return f"{self.mode} {self.dtype}{ragged} ({self.shape})"


def default_shapes(mode: str, dtype: str, ragged: bool, quick: bool) -> list[Shape]:
    """The shapes that a run without ``--shapes`` takes."""
    if mode == "step":
        shapes = STEPS
    elif dtype == "float32" and not ragged:
        shapes = LADDER + PUBLISHED
    else:
        shapes = BATCHES
    return [shape for shape in shapes if shape in QUICK] if quick else list(shapes)


def plan(
    modes: list[str],
    dtypes: list[str],
    ragged: list[bool],
    shapes: list[Shape] | None,
    quick: bool = False,
) -> list[Case]:
    """Every case of a run, without those that make no sense: a step has no lengths to differ."""
    cases: dict[Case, None] = {}
    for dtype in dtypes:
        for is_ragged in ragged:
            for mode in modes:
                if mode == "step" and is_ragged:
                    continue
                chosen = shapes or default_shapes(mode, dtype, is_ragged, quick)
                for shape in chosen:
                    one = replace(shape, timesteps=1) if mode == "step" else shape
                    if not is_ragged or (one.batch > 1 and one.timesteps > 1):
                        cases[Case(mode, one, dtype, is_ragged)] = None
    return list(cases)


@dataclass(frozen=True)
class Data:
    """The arrays of a case, gates in the order i, f, c, o.

    Attributes
    ----------
    inputs : ndarray
        (batch, timesteps, input_dim), zero beyond the lengths; of a step (batch, FRAMES,
        input_dim).
    kernel, recurrent_kernel, bias : ndarray
        (input_dim, 4 units), (units, 4 units), (4 units).
    d_outputs : ndarray
        (batch, timesteps, units), zero beyond the lengths: the gradient of a loss with respect to
        the outputs; for a step empty.
    lengths : ndarray or None
        See `Case.lengths`.
    """

    inputs: np.ndarray
    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray
    d_outputs: np.ndarray
    lengths: np.ndarray | None

    def gates(self, order: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Kernel and recurrent kernel transposed, (4 units, inputs), and bias, in another order.

        Parameters
        ----------
        order : str
            Such as ``"iofc"`` for ONNX.
        """
        units = len(self.recurrent_kernel)
        rows = np.concatenate([np.arange(units) + units * "ifco".index(gate) for gate in order])
        kernels = (self.kernel, self.recurrent_kernel)
        first, second = (np.ascontiguousarray(weights.T[rows]) for weights in kernels)
        return first, second, self.bias[rows]

    @property
    def mask(self) -> np.ndarray | None:
        """(batch, timesteps) bool, True at the real steps; None where all are."""
        if self.lengths is None:
            return None
        return np.arange(self.inputs.shape[1]) < self.lengths[:, None]


def make_data(case: Case) -> Data:
    """Draw the arrays of a case: the same ones in every process."""
    rng = np.random.default_rng(20)
    s, dtype = case.shape, np.dtype(case.dtype)
    steps = FRAMES if case.mode == "step" else s.timesteps
    scale = 1 / np.sqrt(s.units)

    def weights(*shape: int) -> np.ndarray:
        return rng.uniform(-scale, scale, shape).astype(dtype)

    def normal(*shape: int) -> np.ndarray:
        # float32 as float64 would be drawn: both dtypes then compute the same thing.
        return rng.standard_normal(shape, np.float32).astype(dtype)

    data = Data(
        inputs=normal(s.batch, steps, s.input_dim),
        kernel=weights(s.input_dim, 4 * s.units),
        recurrent_kernel=weights(s.units, 4 * s.units),
        bias=weights(4 * s.units),
        d_outputs=normal(s.batch, steps if case.mode == "train" else 0, s.units),
        lengths=case.lengths,
    )
    if data.mask is not None:
        data.inputs[~data.mask] = 0
        if case.mode == "train":
            data.d_outputs[~data.mask] = 0
    return data
