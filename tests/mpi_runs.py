"""Programs run by the ranks of an MPI job, each in a process of its own."""

import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

__all__ = ["LONG", "MPIEXEC", "Done", "run", "started"]

CHECKOUT = Path(__file__).resolve().parents[1]
LONG = bool(os.environ.get("CYLSTM_MPI"))
"""Whether tests with many ranks and jobs are wanted: CYLSTM_MPI=1."""

_BESIDE = Path(sys.executable).with_name("mpiexec")
MPIEXEC = str(_BESIDE) if _BESIDE.exists() else shutil.which("mpiexec")
try:
    import mpi4py  # noqa: F401
except ImportError:
    MPIEXEC = None
# Where there are no wheels of them, as on Windows and with musl, the extra `test` leaves them out.
if MPIEXEC is None and sys.platform == "linux" and not Path("/etc/alpine-release").exists():
    raise ImportError("the tests of cylstm.distributed want mpi4py and mpich: see the extra `test`")
if MPIEXEC is None:
    pytest.skip("there is no MPI", allow_module_level=True)

_LONGEST = 900  # seconds: other processes may take the CPUs, and a job that hangs is stopped


class Done:
    """What became of a job: its exit status, what it printed, and how long it took."""

    def __init__(self, status, out, err, seconds):
        self.status, self.out, self.err, self.seconds = status, out, err, seconds

    def lines(self):
        """Lines of the output, of which some are of one rank and some of another, sorted."""
        return sorted(self.out.splitlines())


def started(ranks, arguments, *, command=(MPIEXEC,), env=None):
    """Start a job; its processes have a mark in their environment."""
    one = ("CYLSTM_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    mark = uuid.uuid4().hex
    settings = {**os.environ, **dict.fromkeys(one, "1"), "JOB_OF_A_TEST": mark, **(env or {})}
    settings.pop("PYTHONUNBUFFERED", None)  # lines of different ranks come whole
    paths = [str(CHECKOUT), str(CHECKOUT / "tests"), os.environ.get("PYTHONPATH", "")]
    settings["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    command = [*command, "-n", str(ranks), sys.executable, "-W", "error", *arguments]
    job = subprocess.Popen(
        [str(word) for word in command],
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return job, mark


def finished(job, mark):
    """Wait for a job, and make sure that none of its processes is left."""
    start = time.monotonic()
    try:
        out, err = job.communicate(timeout=_LONGEST)
    except subprocess.TimeoutExpired:
        job.terminate()
        out, err = job.communicate()
        pytest.fail(f"the job hangs\n{out}\n{err}")
    seconds = time.monotonic() - start
    for _ in range(50):  # what was killed may take a moment
        left = processes(mark)
        if not left:
            break
        time.sleep(0.1)
    assert left == [], "orphans"
    return Done(job.returncode, out, err, seconds)


def processes(mark):
    """The processes of a job."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            alive = "\nState:\tZ" not in (folder / "status").read_text()
            if alive and mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:  # ended meanwhile, or of somebody else
            continue
    return found


def run(ranks, program, *arguments, **options):
    """Run a program, given as its text, and return what became of it."""
    return finished(*started(ranks, ["-c", program, *arguments], **options))


def fine(ranks, program, *arguments, **options):
    """The lines that a program prints which ends well and says nothing else."""
    done = run(ranks, program, *arguments, **options)
    assert (done.status, done.err) == (0, ""), done.err
    return done.lines()
