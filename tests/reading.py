"What the tests of readers share: an import's loop without files and processes, and bytes that are broken in every way."
import re
import time
import tracemalloc
from collections import defaultdict

from skelbench.clips import SkeletonSet
from skelbench.sources import Unusable

WORDS = (b"nan", b"NaN", b"inf", b"-Infinity", b"1e308", b"-1e308", b"-1", b"0", b"999999999999", b"1" * 5000, b"0x1p-3", b"", b"null", b"\xc3\xa9", b"1_0")
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def gather(release):
    "All clips, and reason -> names of what was left out; a second clip of a name is left out, too."
    clips, left_out = {}, defaultdict(list, {why: list(names) for why, names in release.left_out.items()})
    for unit in release.units:
        try:
            for clip in release.clips(unit):
                assert clip["name"] not in clips, "names are unique within a release"
                clips[clip["name"]] = clip
        except Unusable as reason:
            left_out[str(reason)].append(unit.name)
    return list(clips.values()), dict(left_out)


def mutated(data, rng):
    "The bytes of a good file, spoiled in one or two of many ways."
    for _ in range(int(rng.integers(1, 3))):
        lines, kind = data.splitlines(keepends=True), int(rng.integers(12))
        if kind == 0 or not data:  # cut anywhere
            data = data[:int(rng.integers(len(data) + 1))]
        elif kind == 1:
            data = data[int(rng.integers(len(data))):]
        elif kind == 2 and len(lines) > 1:  # lines swapped, dropped, doubled
            i, j = rng.integers(len(lines), size=2)
            lines[i], lines[j] = lines[j], lines[i]
            data = b"".join(lines)
        elif kind == 3:
            del lines[int(rng.integers(len(lines)))]
            data = b"".join(lines)
        elif kind == 4:
            i = int(rng.integers(len(lines)))
            data = b"".join(lines[:i] + [lines[i]] * int(rng.integers(2, 5)) + lines[i:])
        elif kind in (5, 6, 7):  # numbers that are none, or too large
            found = list(NUMBER.finditer(data))
            if found:
                at = found[int(rng.integers(len(found)))]
                data = data[:at.start()] + WORDS[int(rng.integers(len(WORDS)))] + data[at.end():]
        elif kind == 8:  # rubbish
            i = int(rng.integers(len(data)))
            data = data[:i] + rng.bytes(int(rng.integers(1, 200))) + data[i + int(rng.integers(200)):]
        elif kind == 9:
            flipped = bytearray(data)
            for i in rng.integers(len(data), size=int(rng.integers(1, 9))):
                flipped[i] ^= 1 << int(rng.integers(8))
            data = bytes(flipped)
        elif kind == 10:
            data = (data.decode("latin-1").encode("utf-16"), b"\xef\xbb\xbf" + data, b"")[int(rng.integers(3))]
        else:  # CR, LF, mixed
            data = data.replace(b"\n", (b"\r\n", b"\r", b"\n\n", b"\n \t\r\n")[int(rng.integers(4))])
    return data


def fuzzed(good, clips, skeleton, classes, times, seed=0, most=60e6, seconds=2):
    """Spoils files (bytes) and reads each with `clips(bytes) -> list of clips` -> how often it was readable, and reason -> how often it was not.

    Whatever comes is a set, or `Unusable`; with no more than so many bytes of memory and seconds each."""
    import numpy as np
    rng, read, reasons = np.random.default_rng(seed), 0, defaultdict(int)
    for _ in range(times):
        data = mutated(good[int(rng.integers(len(good)))], rng)
        began = time.process_time()
        try:
            found = clips(data)
            SkeletonSet.from_clips(found, skeleton, classes, "spoiled")
            read += 1
        except Unusable as reason:
            assert "\n" not in str(reason) and len(str(reason)) < 200, reason
            reasons[str(reason).split(":")[0]] += 1
        assert time.process_time() - began < seconds, data[:200]
    tracemalloc.start()
    try:
        for _ in range(min(times, 50)):
            try:
                clips(mutated(good[int(rng.integers(len(good)))], rng))
            except Unusable:
                pass
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()
    return read, dict(reasons)
