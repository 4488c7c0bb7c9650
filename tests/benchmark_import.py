"""How long an import of NTU RGB+D takes: python tests/benchmark_import.py [names] [files] [--workers N]

So many names of the data set, hard-linked to fewer files made in the size of genuine ones (one or two bodies, 30 to 150 frames),
are imported by the command line in a process of its own; a second one opens the set. Prints seconds, the seconds of all cores that it took itself,
clips a second, the most memory of the process and its workers together (what they share is counted in each), the set's size, and how busy the
machine was with other things when it began.
"""
import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from made_ntu import FIRST, interleave, person, text

ROOT = Path(__file__).resolve().parents[1]


def names(count):
    "Names as the data set has them: setups, cameras, performers, replications, actions."
    for k in range(count):
        action, rest = k % 120 + 1, k // 120
        camera, rest = rest % 3 + 1, rest // 3
        replication, rest = rest % 2 + 1, rest // 2
        yield f"S{rest % 32 + 1:03}C{camera:03}P{rest // 32 % 106 + 1:03}R{replication:03}A{action:03}"


def folder_of(place, count, files):
    "The release."
    rng, made, folder = np.random.default_rng(0), place / "made", place / "release"
    made.mkdir(), folder.mkdir()
    for k in range(files):
        frames = int(np.clip(rng.gamma(6, 13), 30, 150))
        tracks = [(FIRST + b, 0, person(frames, (b, 0, 3), rng.uniform(.3, 1.5), k)) for b in range(1 + (k % 4 == 3))]
        (made / f"{k}.skeleton").write_bytes(text(interleave(tracks, frames), "\r\n" if k % 2 else "\n"))
    for k, name in enumerate(names(count)):
        os.link(made / f"{k % files}.skeleton", folder / f"{name}.skeleton")
    return folder


def resident(process):
    "Bytes of memory of a process and all below it."
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_info().rss
        except psutil.Error:  # it has just ended
            pass
    return total


def measured(command, environment):
    "Seconds that a command took, seconds that it and its workers computed, and the most memory that they had together, in bytes."
    began, most = time.perf_counter(), 0
    running = psutil.Popen(command, stdout=subprocess.DEVNULL, env=environment, cwd=ROOT)
    while running.poll() is None:
        try:
            most = max(most, resident(running))
        except psutil.Error:  # it has just ended
            pass
        time.sleep(.2)
    if running.returncode:
        raise SystemExit(f"the import failed: {running.returncode}")
    seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, used.ru_utime + used.ru_stime, most


OPEN = """
import sys, time
from skelbench.datasets import open_set
began = time.perf_counter(); data = open_set(sys.argv[1]); opened = time.perf_counter() - began
data.split("xset"); print(len(data), opened, time.perf_counter() - began)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", type=int, nargs="?", default=56_880)
    parser.add_argument("files", type=int, nargs="?", default=2000)
    parser.add_argument("--workers", type=int)
    a = parser.parse_args()
    place = Path(tempfile.mkdtemp())
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    try:
        folder = folder_of(place, a.names, a.files)
        size = sum(p.stat().st_size for p in (place / "made").iterdir()) / a.files
        busy = 1 - psutil.cpu_times_percent(5).idle / 100
        command = [sys.executable, "-m", "skelbench.cli", "data", "import", "ntu", str(folder), str(place / "ntu.skel"), "--json"]
        seconds, computed, most = measured(command + (["--workers", str(a.workers)] if a.workers else []), environment)
        opening = [sys.executable, "-c", OPEN, str(place / "ntu.skel")]
        opened = subprocess.run(opening, check=True, capture_output=True, text=True, env=environment, cwd=ROOT).stdout.split()
        written = sum(p.stat().st_size for p in (place / "ntu.skel").iterdir()) / 1e9
        print(json.dumps({"names": a.names, "files": a.files, "mean_kB": round(size / 1e3), "seconds": round(seconds, 1), "computed": round(computed, 1),
                          "clips": int(opened[0]), "clips_a_second": round(int(opened[0]) / seconds), "most_memory_MB": round(most / 1e6),
                          "set_GB": round(written, 2), "opened_s": round(float(opened[1]), 2), "opened_and_split_s": round(float(opened[2]), 2),
                          "cores": os.cpu_count(), "busy_before": round(busy, 2)}))
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
