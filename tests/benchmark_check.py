"""How long `skelbench data check` takes on a large set, and what it finds there: python tests/benchmark_check.py [clips] [--set DIR]

So many made clips (NTU's 25 joints, one person, three cameras, 16 classes, 12 subjects a block of 1,500), one in 188 of them a copy: unchanged,
unchanged in another class, moved, turned, cut, resampled, reflected, or all at once. The command runs in a process of its own, on one core.
Prints seconds, memory, and how many copies were named. With --set the set is kept in that folder, and taken from there the next time.
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
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
BLOCK = 1500  # clips with people and cameras of their own


def made(folder, clips):
    "Writes the set block by block; how each planted copy was made is said in its name, and its source's name is the rest."
    from skelbench.clips import checked_clip
    from skelbench.faults import AGAIN, as_clips, plant
    from skelbench.skeleton import NTU25
    from skelbench.synthetic import CLASSES, make_synthetic
    from skelbench.writing import SetWriter

    writer = SetWriter(folder, NTU25)
    for block in range(-(-clips // BLOCK)):
        size = min(BLOCK, clips - block * BLOCK)
        data, _ = plant(make_synthetic(size - len(AGAIN), seed=block, skeleton=NTU25), AGAIN, each=1, seed=block)
        for clip in as_clips(data):
            own = {"joints": clip["joints"][:, :1], "valid": clip["valid"][:, :1], "subject": clip["subject"] + 12 * block}
            writer.add(*checked_clip(clip | own | {k: f"b{block:02}_{clip[k]}" for k in ("name", "scene")}, NTU25))
    writer.finish(CLASSES, "made", {"xview": {"column": "camera", "train": [1, 2], "test": [3]}}, source="made from nothing")


def planted(names):
    "{how: {pairs of names}}"
    from skelbench.faults import AGAIN

    return {way: {frozenset((name, name.removesuffix(f"_{way}"))) for name in names if name.endswith(f"_{way}")} for way in AGAIN}


def one_core():
    "For the process that is about to begin."
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def checked(folder):
    "The report of the command; seconds; seconds of the processor; MB at most, files that are mapped among them."
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]), "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "skelbench.cli", "data", "check", str(folder), "--json"], check=True, stdout=subprocess.PIPE, text=True,
                          env=environment, cwd=ROOT, preexec_fn=one_core)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return json.loads(done.stdout.splitlines()[-1]), time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=int, nargs="?", default=100_000)
    parser.add_argument("--set", type=Path)
    a = parser.parse_args()
    place = Path(tempfile.mkdtemp())
    folder = a.set or place / "made.skel"
    try:
        if not (folder / "set.json").exists():
            made(folder, a.clips)
        from skelbench.clips import SkeletonSet

        table = SkeletonSet.open(folder).table
        size = sum(p.stat().st_size for p in folder.iterdir()) / 1e9
        report, seconds, processor, most = checked(folder)
        named = {kind: {frozenset(p[:2]) for f in report["findings"] if f["kind"] == kind for p in f["details"]["pairs"]} for kind in ("copies", "near_copies")}
        truth = planted(table["name"])
        found = {way: f"{len(pairs & named['copies' if way.startswith('copies') else 'near_copies'])} of {len(pairs)}" for way, pairs in truth.items()}
        print(json.dumps({"clips": len(table), "frames": int(table["frames"].sum()), "set_GB": round(size, 2), "seconds": round(seconds, 1),
                          "processor_seconds": round(processor, 1), "most_MB": round(most), "found": found,
                          "false_pairs": len(set.union(*named.values()) - set.union(*truth.values())),
                          "findings": dict(Counter({f["kind"]: f["count"] for f in report["findings"]}))}))
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
