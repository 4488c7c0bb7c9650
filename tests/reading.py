"What the tests of readers share: files of a release, an import's loop without processes, and bytes that are broken in every way."
import pickle
import re
import time
import tracemalloc
import zipfile
from collections import defaultdict
from typing import NamedTuple

import pytest

from skelbench.clips import SkeletonSet
from skelbench.sources import Unusable

WORDS = (b"nan", b"NaN", b"-NaN", b"inf", b"-Infinity", b"1e308", b"-1e308", b"1E-5", b"-1", b"0", b"0.0", b"+1", b"2.0", b"100.00001", b"999999999",
         b"999999999999", b"1" * 5000, b"0x1p-3", b"0x10", b"1_0", b"-1.#IND", b"1,5", b"0.1.2", b"--1", b"1e", b"", b"null", b"x", b"\xc3\xa9", b"\xff\xfe",
         b"\x00", b"{", b"}", b"#")
GAPS = (b"  ", b"\t", b" \t", b"\x0b", b"\x0c", b"\x00", b"\x1c", b"\xa0", b",", b"\r")
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


AT_LENGTH = pytest.mark.parametrize("times", [300, pytest.param(5000, marks=pytest.mark.slow)])  # damaged files: in the fast tests, and as the readers promise


class Held(NamedTuple):
    "A member of a release whose bytes are in memory."
    path: str
    data: bytes

    def read(self, largest=None):
        return self.data


def written(folder, files, zipped=False):
    "Files, path -> text or bytes, in a folder or a zip below `folder` -> its path."
    raw = {path: content if isinstance(content, bytes) else content.encode() for path, content in files.items()}
    if zipped:
        with zipfile.ZipFile(folder / "release.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path, content in raw.items():
                archive.writestr(path, content)
        return folder / "release.zip"
    for path, content in raw.items():
        (folder / "release" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "release" / path).write_bytes(content)
    return folder / "release"


def gather(release, details=True):
    "All clips, read as another process would, and reason -> names of what was left out; without `details`, reasons as an import counts them."
    clips, left_out = {}, defaultdict(list, {why: list(names) for why, names in release.left_out.items()})
    read, units = pickle.loads(pickle.dumps((release.clips, release.units)))
    for unit in units:
        try:
            for clip in read(unit):
                assert clip["name"] not in clips, "names are unique within a release"
                clips[clip["name"]] = clip
        except Unusable as reason:
            left_out[str(reason) if details else str(reason).partition(": ")[0]].append(unit.name)
    return list(clips.values()), dict(left_out)


def mutated(data, rng, gap=b" "):
    "The bytes of a good file, spoiled in one or two of many ways; words stand between gaps."
    for _ in range(int(rng.integers(1, 3))):
        if data:
            data = _spoiled(data, rng, gap)
    return data


def _spoiled(data, rng, gap):
    "The bytes of a file, spoiled in one way."
    lines = data.splitlines(keepends=True)
    at, other, byte = int(rng.integers(len(lines))), int(rng.integers(len(lines))), int(rng.integers(len(data)))
    def word(): return WORDS[int(rng.integers(len(WORDS)))]
    match int(rng.integers(20)):
        case 0: return data[:byte]  # cut anywhere
        case 1: return data[byte:]
        case 2: lines[at], lines[other] = lines[other], lines[at]  # lines swapped, dropped, doubled, brought from elsewhere
        case 3: del lines[at:at + int(rng.integers(1, 3))]
        case 4: lines[at:at] = [lines[at]] * int(rng.integers(1, 4))
        case 5: lines.insert(at, lines[other])
        case 6 | 7 | 8:  # numbers that are none, or too large
            if found := list(NUMBER.finditer(data)):
                number = found[int(rng.integers(len(found)))]
                return data[:number.start()] + word() + data[number.end():]
        case 9:  # a word for another
            words = lines[at].split(gap)
            words[int(rng.integers(len(words)))] = word()
            lines[at] = gap.join(words)
        case 10 | 11:  # counts: where a line is one word
            if alone := [i for i, line in enumerate(lines) if len(line.split()) == 1]:
                i = alone[int(rng.integers(len(alone)))]
                lines[i] = lines[i].replace(lines[i].strip(), str(rng.integers(-3, 30)).encode() if rng.integers(2) else word())
        case 12:  # rubbish
            return data[:byte] + rng.bytes(int(rng.integers(1, 200))) + data[byte + int(rng.integers(200)):]
        case 13:
            flipped = bytearray(data)
            for i in rng.integers(len(data), size=int(rng.integers(1, 20))):
                flipped[i] ^= 1 << int(rng.integers(8))
            return bytes(flipped)
        case 14: return (rng.bytes(int(rng.integers(1, 3000))), bytes(200), b"\n" * 50, b"")[int(rng.integers(4))]
        case 15: return data.decode("latin-1").encode(("utf-16", "utf-32", "utf-8-sig", "cp500")[int(rng.integers(4))], "replace")
        case 16:  # CR, LF, mixed
            end = (b"\r\n", b"\r", b"\n\r", b"\r\r\n", b"\n\n", b"\n \t\r\n")[int(rng.integers(6))]
            return data.replace(b"\n", end, -1 if rng.integers(2) else int(rng.integers(1, len(lines) + 2)))
        case 17: lines[at] = lines[at].replace(gap, GAPS[int(rng.integers(len(GAPS)))], int(rng.integers(1, 4)))
        case 18: lines[at] = (b" ", b"\t", b"")[int(rng.integers(3))] + lines[at].rstrip() + (b" ", b"\t", b"\r", b" x", b" 1")[int(rng.integers(5))] + b"\n"
        case 19: return data + (b"\n", b"\r\n\r\n", b"1\n", b"\x00", b"\x1a", data)[int(rng.integers(6))]
    return b"".join(lines)


def fuzzed(good, clips, skeleton, classes, times, seed=0, most=60e6, seconds=2, gap=b" "):
    """Spoils files (bytes) and reads each with `clips(bytes) -> list of clips` -> how often it was readable, and reason -> how often it was not.

    Whatever comes is a set, or `Unusable`; with no more than so many bytes of memory and seconds each."""
    import numpy as np
    rng, read, reasons = np.random.default_rng(seed), 0, defaultdict(int)
    for _ in range(times):
        data = mutated(good[int(rng.integers(len(good)))], rng, gap)
        began = time.process_time()
        try:
            SkeletonSet.from_clips(clips(data), skeleton, classes, "spoiled")
            read += 1
        except Unusable as reason:
            assert str(reason) and "\n" not in str(reason) and len(str(reason)) < 300, reason
            reasons[str(reason).split(":")[0]] += 1
        assert time.process_time() - began < seconds, data[:200]
    tracemalloc.start()
    try:
        for _ in range(min(times, 50)):
            try:
                clips(mutated(good[int(rng.integers(len(good)))], rng, gap))
            except Unusable:
                pass
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()
    print(f"{times} damaged files: {read} usable all the same, {sum(reasons.values())} left out for {len(reasons)} reasons, nothing else")
    return read, dict(reasons)
