"""oneDNN: its LSTM primitive, with the weights in the format that it prefers."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.base import Peer, Prepared, Unsupported
from bench.peers.native import built, found_header
from bench.problems import FRAMES, Case, Data

HEADER, OPENCL = "oneapi/dnnl/dnnl.h", "libintelocl.so"
INSTRUCTION_SETS = {"generic": "SSE41", "avx2": "AVX2"}
TOLD = {
    0x01: "sse41",
    0x03: "avx",
    0x07: "avx2",
    0x0F: "avx2_vnni",
    0x1F: "avx2_vnni_2",
    0x27: "avx512_core",
    0x67: "avx512_core_vnni",
    0xE7: "avx512_core_bf16",
    0x1EF: "avx512_core_fp16",
}
"""Its numbers of instruction sets, which are `dnnl_cpu_isa_t`."""

MODES = ("step", "forward", "train")
PLAIN = ("x", "w", "r", "b", "h0", "c0", "y", "h", "c", "dx", "dh0", "dc0", "dw", "dr", "db", "dy")


class OneDnn(Peer):
    """Its gates are in the order i, f, c, o; sequences are time-major. The driver is onednn.c.

    The packages of PyPI have the build that runs on SYCL, and so on OpenCL's runtime for CPUs.
    """

    headers = (HEADER,)

    def environment(self, threads: int) -> dict[str, str]:
        """OpenCL finds no CPU otherwise; its threads are one a CPU, or as many as this says."""
        prefix = found_header(HEADER)
        found = {"DPCPP_CPU_NUM_CUS": str(threads)}
        if prefix is not None and (library := prefix / "lib" / OPENCL).exists():
            found["OCL_ICD_FILENAMES"] = str(library)
        return found

    def held_to(self, isa: str) -> dict[str, str]:
        return {"ONEDNN_MAX_CPU_ISA": INSTRUCTION_SETS[isa]}

    def start(self, threads: int) -> None:
        folder = found_header(HEADER)
        flags = [f"-I{folder}/include", f"-L{folder}/lib", f"-Wl,-rpath,{folder}/lib", "-ldnnl"]
        # The libraries that it needs lie beside it, where it does not look for them itself.
        flags += ["-Wl,--disable-new-dtags", "-Wl,--allow-shlib-undefined"]
        self._driver = built(Path(__file__).with_suffix(".c"), flags)
        self._driver.onednn_make.restype = ctypes.c_void_p
        self._driver.onednn_array.restype = ctypes.POINTER(ctypes.c_float)
        if self._driver.onednn_start():
            raise RuntimeError("oneDNN finds no CPU to run on")

    def versions(self) -> dict[str, str]:
        numbers = [ctypes.c_int() for _ in range(3)]
        self._driver.onednn_version(*map(ctypes.byref, numbers))
        return {"onednn": ".".join(str(number.value) for number in numbers)}

    def isa(self) -> str | None:
        number: int = self._driver.onednn_isa()
        return TOLD.get(number, f"{number:#x}")

    def _lstm(self, case: Case, data: Data) -> _Lstm:
        if case.dtype != "float32":
            raise Unsupported("its LSTM computes in float32 on CPUs")
        if data.lengths is not None:
            raise Unsupported("it knows no lengths")
        return _Lstm(self._driver, case, data)

    def step(self, case: Case, data: Data) -> Prepared:
        lstm = self._lstm(case, data)

        def results() -> dict[str, np.ndarray]:
            lstm.begin()
            outputs = []
            for t in range(FRAMES):
                lstm.arrays["x"][0] = data.inputs[:, t]
                lstm.run()
                outputs.append(lstm.arrays["y"][0].copy())
            return {"outputs": np.stack(outputs, axis=1)}

        return Prepared(lstm.run, results)

    def forward(self, case: Case, data: Data) -> Prepared:
        lstm = self._lstm(case, data)

        def results() -> dict[str, np.ndarray]:
            lstm.run()
            y, h, c = (lstm.arrays[name] for name in ("y", "h", "c"))
            return {"outputs": y.swapaxes(0, 1), "final_h": h, "final_c": c}

        return Prepared(lstm.run, results)

    def train(self, case: Case, data: Data) -> Prepared:
        lstm = self._lstm(case, data)

        def results() -> dict[str, np.ndarray]:
            lstm.run()
            lstm.unpack()
            arrays = lstm.arrays
            return {
                "outputs": arrays["y"].swapaxes(0, 1),
                "d_inputs": arrays["dx"].swapaxes(0, 1),
                "d_kernel": arrays["dw"],
                "d_recurrent_kernel": arrays["dr"],
                "d_bias": arrays["db"],
            }

        return Prepared(lstm.run, results)


class _Lstm:
    """A primitive of the library, and its arrays by name."""

    def __init__(self, driver: Any, case: Case, data: Data) -> None:
        s, self._driver = case.shape, driver
        sizes = (s.timesteps, s.batch, s.input_dim, s.units)
        made = driver.onednn_make(MODES.index(case.mode), *sizes)
        if made is None:
            raise Unsupported("it refuses this shape")
        self._made = ctypes.c_void_p(made)
        state, wide = (s.batch, s.units), 4 * s.units
        x, y = (s.timesteps, s.batch, s.input_dim), (s.timesteps, s.batch, s.units)
        w, r, b = (s.input_dim, wide), (s.units, wide), (wide,)
        shapes = [x, w, r, b, state, state, y, state, state, x, state, state, w, r, b, y]
        self.arrays = {}
        for place, (name, shape) in enumerate(zip(PLAIN, shapes, strict=True)):
            pointer = driver.onednn_array(self._made, place)
            if pointer:
                self.arrays[name] = np.ctypeslib.as_array(pointer, shape)
        self.arrays["x"][...] = data.inputs.swapaxes(0, 1)[: s.timesteps]
        self.arrays["w"][...] = data.kernel
        self.arrays["r"][...] = data.recurrent_kernel
        self.arrays["b"][...] = data.bias
        if case.mode == "train":
            self.arrays["dy"][...] = data.d_outputs.swapaxes(0, 1)
        self.begin()

    def begin(self) -> None:
        """Pack the weights, and begin with zero states."""
        for name in {"h0", "c0", "h", "c"} & self.arrays.keys():
            self.arrays[name][...] = 0
        self._checked(self._driver.onednn_pack(self._made))

    def run(self) -> None:
        self._checked(self._driver.onednn_run(self._made))

    def unpack(self) -> None:
        """Bring the gradients of the weights into the plain format."""
        self._checked(self._driver.onednn_unpack(self._made))

    def _checked(self, failed: int) -> None:
        if failed:
            raise RuntimeError("oneDNN failed")

    def __del__(self) -> None:
        if hasattr(self, "_made"):
            self._driver.onednn_free(self._made)
