"""NTU RGB+D skeleton files made by hand, with what the genuine ones have: LF or CRLF, bodies that come and go, noise, numbers with an exponent."""
from pathlib import Path

import numpy as np

from skelbench.skeleton import NTU25

FIRST = 72057594037931101  # of the ids that a Kinect gives: above 2**53, so that a float would mix them up


def person(frames, place=(0, 0, 3), swing=1.0, phase=0.0):
    "(T, 25, 3) metres: a standing body that swings its arms, as an unquiet sensor sees it."
    turn, joints = swing * np.sin(np.linspace(0, 6, frames) + phase), np.zeros((frames, 25, 3))
    for joint, parent in NTU25.bones:
        step = np.tile(np.array(NTU25.rest[joint]) * .25, (frames, 1))
        for side, sign in (("left_arm", 1), ("right_arm", -1)):
            if joint in NTU25.limbs[side][1:]:
                step = .18 * np.stack([sign * np.sin(turn), -np.cos(turn), .1 + 0 * turn], -1)
        joints[:, joint] = joints[:, parent] + step
    return joints + place + np.random.default_rng(0).normal(0, .002, joints.shape)


def chair(frames, place=(1, 0, 4)):
    "(T, 25, 3) metres: what the sensor makes of furniture, wider than it is high, and shaking."
    return np.random.default_rng(0).normal(0, (.5, .1, .05), (frames, 25, 3)) + place


def number(value):
    "As .NET writes a float: seven digits, an exponent when it is small."
    return f"{value:.7g}".replace("e", "E")


def text(frames, newline="\n", end=True):
    "Bytes of a file; frames: for each frame a list of (id, (25, 3))."
    rng, lines = np.random.default_rng(0), [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for who, joints in bodies:
            lines += [f"{who} 0 1 1 0 0 0 {number(rng.normal())} -0.2413 2", str(len(joints))]
            for joint in joints:
                rest = [rng.uniform(0, 500), rng.uniform(0, 400), rng.uniform(0, 1900), rng.uniform(0, 1000), *rng.uniform(-1, 1, 4)]
                lines.append(" ".join(map(number, [*joint, *rest])) + " 2")
    return (newline.join(lines) + newline * end).encode()


def interleave(tracks, frames):
    "Frames of a file from tracks: (id, first frame, (T, 25, 3))."
    out = [[] for _ in range(frames)]
    for who, first, joints in tracks:
        for t, pose in enumerate(joints, first):
            out[t].append((who, pose))
    return out


def crowd(frames=40):
    "Six bodies: a chair that fidgets all the time, two people of whom the second moves more and changes its id, a ghost, two statues."
    half = frames // 2
    return interleave([(FIRST, 0, chair(frames)), (FIRST + 1, 0, person(frames, (-.5, 0, 3), .3)),
                       (FIRST + 2, 0, person(half, (.5, 0, 3), 1.5)), (FIRST + 3, half + 2, person(frames - half - 2, (.5, 0, 3), 1.5, 1)),
                       (FIRST + 4, 5, person(8, (0, 0, 2), 3)), (FIRST + 5, 0, person(frames, (1.5, 0, 4), 0))], frames)


def release(folder):
    "Sixteen good clips of four subjects (two scenes each seen by two cameras) in two folders, and how they are named."
    names = []
    for setup, actions, place in ((1, (1, 60), "nturgb+d_skeletons"), (18, (61, 120), "nturgb+d_skeletons120")):
        Path(folder, place).mkdir(parents=True)
        for subject in (1, 3) if setup == 1 else (45, 106):
            for action in actions:
                for camera in (1, 2):
                    name = f"S{setup:03}C{camera:03}P{subject:03}R001A{action:03}"
                    two = [(FIRST + 1, 0, person(20 + subject % 5, (.8, 0, 3), .5))] if action in (60, 120) else []
                    data = text(interleave([(FIRST, 0, person(20 + subject % 5, swing=camera)), *two], 20 + subject % 5),
                                "\r\n" if camera == 2 else "\n", end=action != 1)
                    Path(folder, place, f"{name}.skeleton").write_bytes(data)
                    names.append(name)
    return names
