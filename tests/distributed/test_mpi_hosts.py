"""Two hosts, which are network namespaces of this machine: messages go by TCP.

CYLSTM_MPI=1 python -m pytest tests/distributed/test_mpi_hosts.py

It takes root, and `ip` and `unshare` of Linux.
"""

import os
import subprocess
from pathlib import Path

import mpi_runs
import pytest
from mpi_runs import LONG, finished, started

pytestmark = pytest.mark.skipif(
    not (LONG and hasattr(os, "geteuid") and os.geteuid() == 0),
    reason="CYLSTM_MPI=1, and root: network namespaces",
)

PROGRAM = """
import socket
from mpi_programs import *
model, history = trained(penalised, deterministic=True, block_size=4, shuffle=True)
print(digest(model, *(values[-1] for values in history.values())), socket.gethostname())
"""


def ip(*words):
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def hosts():
    """Two namespaces at the ends of a cable, with names that they know each other by."""
    names, cable = ("cyl-a", "cyl-b"), ("cyl-veth-a", "cyl-veth-b")
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", cable[0], "type", "veth", "peer", "name", cable[1])
        for number, (name, end) in enumerate(zip(names, cable, strict=True), 1):
            ip("link", "set", end, "netns", name)
            ip("-n", name, "link", "set", end, "name", "cyl0")
            ip("-n", name, "addr", "add", f"10.231.7.{number}/24", "dev", "cyl0")
            ip("-n", name, "link", "set", "cyl0", "up")
            ip("-n", name, "link", "set", "lo", "up")
            folder = Path("/etc/netns", name)
            folder.mkdir(parents=True)
            own = f"127.0.0.1 localhost\n10.231.7.1 {names[0]}\n10.231.7.2 {names[1]}\n"
            (folder / "hosts").write_text(own)
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name])
            (Path("/etc/netns") / name / "hosts").unlink(missing_ok=True)
            if Path("/etc/netns", name).exists():
                Path("/etc/netns", name).rmdir()


def test_the_bits_are_those_of_one_host(hosts, tmp_path):
    """mpiexec starts each rank in its namespace, where `hostname` says another name."""
    script = tmp_path / "launch"
    script.write_text(
        "#!/bin/sh\n"  # called as ssh: options, a host, a command
        'while [ "${1#-}" != "$1" ]; do shift; done\n'
        "host=$1; shift\n"
        'exec ip netns exec "$host" unshare --uts sh -c "hostname $host; $*"\n'
    )
    script.chmod(0o755)
    (tmp_path / "program.py").write_text(PROGRAM)
    mpiexec = [
        "ip", "netns", "exec", hosts[0], "unshare", "--uts", "sh", "-c",
        f'hostname {hosts[0]}; exec "$0" "$@"', mpi_runs.MPIEXEC,
        "-launcher", "ssh", "-launcher-exec", script, "-localhost", "none",
        "-iface", "cyl0", "-hosts", ",".join(hosts),
    ]  # fmt: skip
    job = started(2, [tmp_path / "program.py"], command=mpiexec)
    done = finished(*job)
    assert done.status == 0, done.err
    first, second = (line.split() for line in done.lines())
    assert first[:-1] == second[:-1]
    assert {first[-1], second[-1]} == set(hosts)
    alone = finished(*started(1, [tmp_path / "program.py"]))
    assert alone.lines()[0].split()[:-1] == first[:-1]
