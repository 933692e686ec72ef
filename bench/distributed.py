"""What further processes gain in training, over MPI.

    python bench/distributed.py [--rounds 3] [--torch PYTHON] [--json FILE] [--plot FILE]
    python bench/distributed.py --load FILE [--plot FILE]

Wants mpi4py, `mpiexec` beside this Python or on the path, and two idle CPUs; `--torch` names a
Python that has PyTorch. One thread a process. Models and weights are those of `jobs.py`.

- Speed: samples a second of one process; of two that know nothing of each other, which is what the
  machine gives; of two ranks with batches of their own (so many samples each, as PyTorch's DDP has
  it), with one batch split, and with `deterministic=True`; of two of PyTorch's DDP over gloo. They
  take turns; medians of the rounds count. All models must agree after three updates.
- Reduction: bytes and seconds of `Allreduce`, by the number of weights, and what a line through
  them says of latency and bandwidth.
- Overlap: whether a reduction that is started before other work ends sooner.
- Scaling, computed, not measured: what the formula of a ring predicts for more ranks.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench import machine  # noqa: E402
from bench.jobs import FORECASTER, TEXT, JobData, Net, first_weights  # noqa: E402

NETS = {"text classifier": TEXT, "forecaster": FORECASTER}
BATCHES = {"text classifier": 40, "forecaster": 79}  # of an epoch here
EPOCHS, CHECKED = 3, 3
SIZES = [2**n for n in range(10, 25, 2)]  # weights
NETWORK = 25e9 / 8  # bytes a second
LATENCY = 20e-6  # seconds a message takes there: what TCP takes between two hosts of one switch
RANKS = [2**n for n in range(1, 11)]
ASKED = {"two ranks": 1.8, "to DDP": 1.5}
WAYS = ["one process", "two apart", "two ranks", "two ranks, split", "two ranks, deterministic"]


# ---------------------------------------------------------------------- processes that measure


def data_of(net: Net, batches: int, rank: int, size: int) -> JobData:
    """So many batches for each rank, and the same weights for all."""
    rng = np.random.default_rng(20)
    weights = [w.astype(np.float32) for w in first_weights(net, rng)]
    shape = (batches * net.batch * size, net.timesteps)
    if net.vocabulary:
        x = rng.integers(0, net.vocabulary, shape).astype(np.int32)
        y = rng.integers(0, 2, (len(x), 1)).astype(np.float32)
    else:
        x = rng.standard_normal((*shape, net.features), np.float32)
        y = rng.standard_normal((len(x), 1), np.float32)
    return JobData(x[rank::size], y[rank::size], weights)


def model_of(net: Net, weights: list[np.ndarray], optimizer: Any) -> Any:
    """The model in cylstm."""
    import cylstm
    from cylstm import layers

    shape = (net.timesteps,) if net.vocabulary else (net.timesteps, net.features)
    stack: list[Any] = [layers.InputLayer(shape)]
    if net.vocabulary:
        stack.append(layers.Embedding(net.vocabulary, net.features))
    for number, units in enumerate(net.units, 1):
        several = number < len(net.units)
        stack.append(layers.LSTM(units, recurrent_activation="sigmoid", return_sequences=several))
    stack.append(layers.Dense(net.outputs, activation=net.activation))
    model = cylstm.Sequential(stack)
    model.compile(optimizer, net.loss)
    model.set_weights(weights)
    return model


def train_cylstm(name: str, way: str) -> dict[str, Any]:
    """Samples a second of epochs, and what the model says after some updates."""
    from cylstm.optimizers import Adam

    net, ranks = NETS[name], None
    adam: Any = Adam(lr=1e-3)
    options: dict[str, Any] = {}
    if way.startswith("two ranks"):
        from cylstm.distributed import DistributedOptimizer

        options = {"split_batches": "split" in way or "deterministic" in way}
        adam = DistributedOptimizer(adam, deterministic="deterministic" in way, **options)
        ranks = adam.ranks
    split = options.get("split_batches", False)
    rank, size = (ranks.rank, ranks.size) if ranks and not split else (0, 1)
    data = data_of(net, BATCHES[name], rank, size)
    model = model_of(net, data.weights, adam)
    first = CHECKED * net.batch
    model.fit(data.x[:first], data.y[:first], net.batch, 1, 0, shuffle=False)
    said = model.predict(data.x[:8]).ravel().tolist()
    spent = _timed_reductions(ranks)
    epoch = lambda: model.fit(data.x, data.y, net.batch, 1, 0)  # noqa: E731
    speeds = timed(epoch, len(data.x) * size, ranks.gather if ranks else wait_for_parent)
    steps = ranks and -(-len(data.x) // net.batch) * (EPOCHS + 1)
    reduction = sum(spent) / steps if steps else 0.0
    return {"speeds": speeds, "said": said, "reduction": reduction}


def _timed_reductions(ranks: Any) -> list[float]:
    """The seconds of each reduction from now on, waiting for the other ranks among them."""
    spent: list[float] = []
    for method in ("add", "add_rows", "add_tree") if ranks else ():
        plain = getattr(ranks, method)

        def measured(*args: Any, plain: Callable[..., Any] = plain) -> Any:
            start = time.perf_counter()
            result = plain(*args)
            spent.append(time.perf_counter() - start)
            return result

        setattr(ranks, method, measured)
    return spent


def train_torch(name: str) -> dict[str, Any]:
    """The same by PyTorch's DistributedDataParallel over gloo."""
    import torch
    from torch import distributed
    from torch.nn.parallel import DistributedDataParallel

    from bench.peers.fit_torch import FitTorch

    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    rank, size, net = distributed.get_rank(), distributed.get_world_size(), NETS[name]
    data = data_of(net, BATCHES[name], rank, size)
    peer = FitTorch()
    peer._torch = torch
    model = DistributedDataParallel(peer._model(net, data.weights))
    loss = peer._loss(net)
    trained = [p for p in model.parameters() if p.requires_grad]
    adam = torch.optim.Adam(trained, lr=1e-3, eps=1e-8)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)

    def epoch(order: Any) -> None:
        for which in order.split(net.batch):
            adam.zero_grad()
            loss(model(x[which]), y[which]).backward()
            adam.step()

    epoch(torch.arange(CHECKED * net.batch))
    said = peer._outputs(net, model.module, x[:8], 8).ravel().tolist()

    def together(value: Any) -> list[Any]:
        found: list[Any] = [None] * size
        distributed.all_gather_object(found, value)
        return found

    speeds = timed(lambda: epoch(torch.randperm(len(x))), len(x) * size, together)
    distributed.destroy_process_group()
    return {"speeds": speeds, "said": said}


def wait_for_parent(value: Any) -> list[Any]:
    """Begin when the other process does."""
    print("ready", flush=True)
    sys.stdin.readline()
    return [value]


def timed(epoch: Callable[[], Any], samples: int, meet: Callable[[Any], list[Any]]) -> list[float]:
    """Samples a second of some epochs, after one that is not counted."""
    epoch()
    meet(None)
    speeds = []
    for _ in range(EPOCHS):
        start = time.perf_counter()
        epoch()
        speeds.append(samples / (time.perf_counter() - start))
    return speeds


def measure_reduction() -> dict[str, Any]:
    """Bytes and the median seconds of a reduction between the ranks; overlap."""
    from mpi4py import MPI

    from cylstm.distributed._ranks import ranks_of

    ranks, found = ranks_of(), []
    for size in SIZES:
        array = np.ones(size, np.float32)
        times = []
        for _ in range(max(12, min(300, 2**24 // size))):
            ranks._comm.Barrier()
            start = time.perf_counter()
            ranks.add(array)
            times.append(time.perf_counter() - start)
            array.fill(1)
        found.append((array.nbytes, max(ranks.gather(statistics.median(times)))))
    return {"reduction": found, "overlap": _overlap(ranks._comm, MPI)}


def _overlap(comm: Any, mpi: Any) -> dict[str, float]:
    """Milliseconds of a product and a reduction of 4 MB: one after the other, and at once."""
    array, square = np.ones(2**20, np.float32), np.ones((512, 512), np.float32)
    times: dict[str, list[float]] = {"after": [], "at once": []}
    for _ in range(30):
        for way, spent in times.items():
            array.fill(1)
            comm.Barrier()
            start = time.perf_counter()
            request = comm.Iallreduce(mpi.IN_PLACE, array) if way == "at once" else None
            for _ in range(3):
                square @ square
            request.Wait() if request else comm.Allreduce(mpi.IN_PLACE, array)
            spent.append(time.perf_counter() - start)
    return {way: 1e3 * max(comm.allgather(statistics.median(s))) for way, s in times.items()}


# ---------------------------------------------------------------------- who starts them


def environment() -> dict[str, str]:
    one = ("CYLSTM_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(one, "1"), "PYTHONPATH": str(ROOT)}


def over_mpi(*arguments: str) -> Any:
    """What rank 0 of two prints."""
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        raise SystemExit("There is no mpiexec: pip install mpich, or an MPI of the system.")
    command = [mpiexec, "-n", "2", sys.executable, __file__, "--worker", *arguments]
    done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def apart(count: int, *arguments: str) -> list[Any]:
    """What so many processes find that begin at once."""
    command = [sys.executable, __file__, "--worker", *arguments]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen(command, env=environment(), **pipes) for _ in range(count)]
    for worker in workers:
        assert_ready(worker.stdout.readline())
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return [json.loads(worker.communicate()[0]) for worker in workers]


def assert_ready(line: str) -> None:
    if line != "ready\n":
        raise RuntimeError(f"a process said {line!r}")


def over_gloo(python: str, name: str) -> Any:
    """What rank 0 of two of PyTorch's finds."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    workers = []
    for rank in ("0", "1"):
        env = {**environment(), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": rank}
        command = [python, __file__, "--worker", name, "DDP"]
        env["WORLD_SIZE"] = "2"
        workers.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True))
    return [json.loads(worker.communicate()[0] or "null") for worker in workers][0]


def measure_speeds(torch: str | None, rounds: int, names: list[str]) -> dict[str, Any]:
    """Of each net and way the samples a second of all rounds."""
    found: dict[str, Any] = {}
    for name in names:
        ways = [*WAYS, *(["DDP"] if torch else [])]
        speeds: dict[str, list[float]] = {way: [] for way in ways}
        said, reduction = {}, {}
        for _ in range(rounds):
            for way in ways:
                if way == "DDP":
                    results = [over_gloo(str(torch), name)]
                elif way in ("one process", "two apart"):
                    results = apart(1 + (way == "two apart"), name, way)
                else:
                    results = [over_mpi(name, way)]
                    reduction[way] = results[0]["reduction"]
                of_each = (statistics.median(result["speeds"]) for result in results)
                speeds[way].append(sum(of_each))
                said[way] = results[0]["said"]
        pairs = [("one process", "two ranks, split"), ("one process", "two ranks, deterministic")]
        for one, other in pairs + ([("two ranks", "DDP")] if torch else []):
            np.testing.assert_allclose(said[one], said[other], atol=2e-3)
        found[name] = {"speeds": speeds, "reduction": reduction}
    return found


# ---------------------------------------------------------------------- what it says


def line_through(points: list[tuple[int, float]]) -> tuple[float, float]:
    """Latency and bytes a second: least squares of relative errors."""
    sizes, times = np.array(points, float).T
    lines = np.stack([1 / times, sizes / times], 1)
    latency, of_byte = np.linalg.lstsq(lines, np.ones(len(times)), rcond=None)[0]
    return float(latency), float(1 / of_byte)


def ring(ranks: int, size: float, latency: float = LATENCY, speed: float = NETWORK) -> float:
    """Seconds of a reduction over a ring: each part goes around twice, but for one step each."""
    return 2 * (ranks - 1) * latency + 2 * (ranks - 1) / ranks * size / speed


def exchanged(net: Net, ranks: int) -> float:
    """Seconds for the gradients of a net, those of its embedding as rows or as a whole."""
    sizes = [w.nbytes // 2 for w in first_weights(net, np.random.default_rng(1))]  # of float32
    if not net.vocabulary:
        return ring(ranks, sum(sizes))
    table, *others = sizes
    looked_up = net.batch * net.timesteps  # at most
    if ranks * looked_up > 2 * net.vocabulary:
        return ring(ranks, sum(others)) + ring(ranks, table)
    rows = (ranks - 1) * looked_up * (4 * net.features + 8)
    return ring(ranks, sum(others)) + (ranks - 1) * LATENCY + rows / NETWORK


def computed(found: dict[str, Any]) -> dict[str, list[float]]:
    """Of each net the speed with more ranks, as a share of so many times that of one."""
    shares = {}
    for name, result in found["speeds"].items():
        net = NETS[name]
        step = net.batch / statistics.median(result["speeds"]["one process"])
        shares[name] = [step / (step + exchanged(net, ranks)) for ranks in RANKS]
    return shares


def report(found: dict[str, Any]) -> bool:
    """Print all, and return whether it is as asked."""
    fine = True
    print(f"{found['machine']['cpu']}, one thread a process\n")
    for name, result in found["speeds"].items():
        medians = {way: statistics.median(s) for way, s in result["speeds"].items()}
        one = medians["one process"]
        print(f"{name}, samples a second (times one process)")
        for way, median in medians.items():
            spent = result["reduction"].get(way)
            more = f"   {1e3 * spent:.2f} ms a step in reductions" if spent else ""
            print(f"  {way:26} {median:8,.0f}  {median / one:5.2f}{more}")
        fine &= medians["two ranks"] / one >= ASKED["two ranks"]
        if "DDP" in medians:
            gain = medians["two ranks"] / medians["DDP"]
            fine &= gain >= ASKED["to DDP"]
            print(f"  two ranks to DDP           {gain:15.2f}   (asked {ASKED['to DDP']})")
        print()
    latency, speed = line_through(found["reduction"])
    print("Reduction between two ranks of this machine\n      bytes    microseconds")
    for size, seconds in found["reduction"]:
        print(f"{size:11,} {1e6 * seconds:12,.0f}")
    print(f"  latency {1e6 * latency:.1f} us, {speed / 1e9:.2f} GB a second\n")
    after, at_once = (found["overlap"][way] for way in ("after", "at once"))
    print(f"A product and a reduction of 4 MB: one after the other {after:.2f} ms, at once", end="")
    print(f" {at_once:.2f} ms\n")
    print("Computed, not measured: the share of perfect scaling over 25 Gbit/s, a ring of messages")
    print(f"of {1e6 * LATENCY:.0f} us latency, samples of each rank as above")
    print(f"{'ranks':18}" + "".join(f"{ranks:7,}" for ranks in RANKS))
    for name, shares in computed(found).items():
        print(f"{name:18}" + "".join(f"{share:7.0%}" for share in shares))
    return fine


def draw(found: dict[str, Any], path: str) -> None:
    """The computed scaling as a picture."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.8), layout="constrained")
    axes.plot(RANKS, [1.0] * len(RANKS), color="0.6", linewidth=1, label="perfect")
    for name, shares in computed(found).items():
        axes.plot(RANKS, shares, marker="o", markersize=3, label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks(RANKS, [f"{ranks:,}" for ranks in RANKS])
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("ranks")
    axes.set_ylabel("share of perfect scaling")
    axes.set_title("Computed, not measured: 25 Gbit/s, latency 20 µs", fontsize=10)
    axes.legend()
    figure.savefig(path, dpi=150)


def work(name: str, way: str) -> None:
    """Be a process that measures, and print what it finds; only one of several does."""
    rank = os.environ.get("PMI_RANK", os.environ.get("OMPI_COMM_WORLD_RANK", "0"))
    if name == "reduction":
        found = measure_reduction()
    elif way == "DDP":
        found, rank = train_torch(name), os.environ["RANK"]
    else:
        found = train_cylstm(name, way)
    if rank == "0":
        print(json.dumps(found))


def main() -> int:
    """Measure, print, and return 1 if a gain is less than what is asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--torch", metavar="PYTHON")
    parser.add_argument("--jobs", default=",".join(NETS), help="of speed; empty: none")
    parser.add_argument("--json", metavar="FILE", help="keep what was measured, of several calls")
    parser.add_argument("--load", metavar="FILE", help="measure nothing")
    parser.add_argument("--plot", metavar="FILE")
    parser.add_argument("--worker", nargs=2, metavar=("JOB", "WAY"))
    options = parser.parse_args()
    if options.worker:
        work(*options.worker)
        return 0
    if options.load:
        found = json.loads(Path(options.load).read_text())
    else:
        kept = Path(options.json) if options.json else None
        found = json.loads(kept.read_text()) if kept and kept.exists() else {"speeds": {}}
        names = [name for name in options.jobs.split(",") if name]
        found |= {"machine": machine.describe(), **over_mpi("reduction", "")}
        found["speeds"] |= measure_speeds(options.torch, options.rounds, names)
        if kept:
            kept.write_text(json.dumps(found, indent=1))
    if options.plot:
        draw(found, options.plot)
    return 0 if report(found) else 1


if __name__ == "__main__":
    sys.exit(main())
