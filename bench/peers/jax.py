"""JAX: a jitted `lax.scan` with the input product before it, as its users write an LSTM."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.peers.base import Peer, Prepared, Unsupported
from bench.problems import FRAMES, Case, Data


class Jax(Peer):
    """Gates in the order i, f, c, o; sequences time-major inside and out, as scan wants them."""

    modules = ("jax", "jaxlib")
    distributions = ("jax", "jaxlib")

    def environment(self, threads: int) -> dict[str, str]:
        """XLA has no setting for its number of threads: it makes one for each CPU it may run on."""
        one = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"} if threads == 1 else {}
        return {"JAX_PLATFORMS": "cpu", **one}

    def held_to(self, isa: str) -> dict[str, str]:
        raise Unsupported(
            "XLA keeps to it in the code that it makes (xla_cpu_max_isa), not in its products"
        )

    def start(self, threads: int) -> None:
        import jax

        jax.config.update("jax_enable_x64", True)
        self._jax = jax

    def _cell(self, recurrent_kernel: Any, carry: Any, z: Any) -> Any:
        """One step: states (batch, units) and the input product (batch, 4 units) to new states."""
        jax, jnp = self._jax, self._jax.numpy
        h, c = carry
        i, f, g, o = jnp.split(z + h @ recurrent_kernel, 4, axis=1)
        sigmoid = jax.nn.sigmoid
        c = sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)
        return sigmoid(o) * jnp.tanh(c), c

    def _sequence(self, mask: Any, x: Any, kernel: Any, recurrent_kernel: Any, bias: Any) -> Any:
        """(timesteps, batch, input_dim) to outputs (timesteps, batch, units), and final h and c."""
        jax, jnp = self._jax, self._jax.numpy

        def body(carry: Any, step: Any) -> Any:
            z, real = step
            new = self._cell(recurrent_kernel, carry, z)
            if real is not None:
                new = tuple(jnp.where(real, a, b) for a, b in zip(new, carry, strict=True))
            return new, new[0]

        zeros = jnp.zeros((x.shape[1], len(recurrent_kernel)), x.dtype)
        (h, c), outputs = jax.lax.scan(body, (zeros, zeros), (x @ kernel + bias, mask))
        return outputs, h, c

    def _arrays(self, data: Data) -> tuple[Any, list[Any]]:
        """The mask, (timesteps, batch, 1) or None, and the arguments of the sequence."""
        jnp = self._jax.numpy
        mask = None if data.mask is None else jnp.asarray(data.mask.T[:, :, None].copy())
        x = jnp.asarray(data.inputs.swapaxes(0, 1).copy())
        weights = (data.kernel, data.recurrent_kernel, data.bias)
        return mask, [x, *(jnp.asarray(array) for array in weights)]

    def step(self, case: Case, data: Data) -> Prepared:
        jax, jnp = self._jax, self._jax.numpy
        _, (_, kernel, recurrent_kernel, bias) = self._arrays(data)

        @jax.jit
        def step(x: Any, state: Any) -> Any:
            return self._cell(recurrent_kernel, state, x @ kernel + bias)

        frames = [jnp.asarray(data.inputs[:, t].copy()) for t in range(FRAMES)]
        zeros = jnp.zeros((case.shape.batch, case.shape.units), case.dtype)
        state = (zeros, zeros)

        def run() -> None:
            nonlocal state
            state = step(frames[0], state)
            state[0].block_until_ready()

        def results() -> dict[str, np.ndarray]:
            outputs, states = [], (zeros, zeros)
            for frame in frames:
                states = step(frame, states)
                outputs.append(np.asarray(states[0]))
            return {"outputs": np.stack(outputs, axis=1)}

        return Prepared(run, results)

    def forward(self, case: Case, data: Data) -> Prepared:
        mask, arguments = self._arrays(data)
        sequence = self._jax.jit(self._sequence)

        def run() -> Any:
            return self._jax.block_until_ready(sequence(mask, *arguments))

        def results() -> dict[str, np.ndarray]:
            outputs, h, c = map(np.asarray, run())
            return {"outputs": outputs.swapaxes(0, 1), "final_h": h, "final_c": c}

        return Prepared(run, results)

    def train(self, case: Case, data: Data) -> Prepared:
        jax = self._jax
        mask, arguments = self._arrays(data)
        d_outputs = jax.numpy.asarray(data.d_outputs.swapaxes(0, 1).copy())

        @jax.jit
        def gradients(mask: Any, d_outputs: Any, *arguments: Any) -> Any:
            outputs, pullback = jax.vjp(lambda *a: self._sequence(mask, *a)[0], *arguments)
            return outputs, pullback(d_outputs)

        def run() -> Any:
            return jax.block_until_ready(gradients(mask, d_outputs, *arguments))

        def results() -> dict[str, np.ndarray]:
            outputs, (d_inputs, *d_weights) = run()
            names = ("d_kernel", "d_recurrent_kernel", "d_bias")
            return {
                "outputs": np.asarray(outputs).swapaxes(0, 1),
                "d_inputs": np.asarray(d_inputs).swapaxes(0, 1),
                **{name: np.asarray(d) for name, d in zip(names, d_weights, strict=True)},
            }

        return Prepared(run, results)
