"""What it costs to start: the package, the command line, the server.

    python benchmarks/startup.py [--rounds 5]

Each is a process of its own, started a few times; the least CPU and the least wall time count,
since whatever else the machine does can only add to them. Modules are compiled once before.
"""

from __future__ import annotations

import argparse
import compileall
import os
import pathlib
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import homeostat
import machine

BUDGET_IMPORT_CPU_S = 0.15
BUDGET_HELP_S = 0.3
BUDGET_READY_S = 2.0
BUDGET_SERVER_MB = 150.0
PATIENCE_S = 60.0
COMMAND = "from homeostat.doors.cli import main; main()"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    # A process that may not write compiled modules would compile them at each start.
    compileall.compile_dir(pathlib.Path(homeostat.__file__).parent, quiet=2)
    print(machine.facts())
    bare = least(rounds, "-c", "pass")
    imported = least(rounds, "-c", "import homeostat")
    helped = least(rounds, "-c", COMMAND, "--help")
    cpu_s = max(imported[0] - bare[0], 0.0)
    note = f"on top of Python's own {bare[0]:.3f} s; wall {imported[1]:.3f} s"
    print(machine.against("import homeostat, CPU", cpu_s, BUDGET_IMPORT_CPU_S, "s", note=note))
    note = f"CPU {helped[0]:.3f} s"
    print(machine.against("homeostat --help, wall", helped[1], BUDGET_HELP_S, "s", note=note))
    first, again = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as home:
            first.append(server(pathlib.Path(home)))
            again.append(server(pathlib.Path(home)))
    for name, found in (("first start", first), ("with its tables", again)):
        wall_s, cpu_s, rss_mb = (min(values) for values in zip(*found, strict=True))
        note = f"CPU {cpu_s:.2f} s"
        told = f"server ready, {name}, wall"
        print(machine.against(told, wall_s, BUDGET_READY_S, "s", note=note))
        print(machine.against(f"server memory, {name}", rss_mb, BUDGET_SERVER_MB, "MB"))


def least(rounds: int, *arguments: str) -> tuple[float, float]:
    """Return the least CPU and wall seconds of a process."""
    cpu_s, wall_s = [], []
    for _ in range(rounds):
        before, began = cpu_of_children(), time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        wall_s.append(time.perf_counter() - began)
        cpu_s.append(cpu_of_children() - before)
    return min(cpu_s), min(wall_s)


def server(home: pathlib.Path) -> tuple[float, float, float]:
    """Start a server; return wall and CPU seconds until /health answers, and its MB then."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "server", "--port", str(port)],
        env={**os.environ, "HOMEOSTAT_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not answers(f"http://127.0.0.1:{port}/health"):
            if process.poll() is not None or time.perf_counter() - began > PATIENCE_S:
                raise SystemExit("the server did not start")
            time.sleep(0.005)
        wall_s = time.perf_counter() - began
        return wall_s, cpu_of(process.pid), memory_mb(process.pid)
    finally:
        process.terminate()
        process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except urllib.error.URLError:
        return False


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cpu_of(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    told = next(line for line in lines if line.startswith("VmRSS"))
    return int(told.split()[1]) / 1024


if __name__ == "__main__":
    main()
