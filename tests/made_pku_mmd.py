"""PKU-MMD recordings, labels and split files made by hand, in the form of the genuine ones."""
from pathlib import Path

import numpy as np

from skelbench.skeleton import NTU25

ACTIONS = ((8, 40, 90, 2), (14, 110, 160, 1), (22, 180, 200, 2))  # action, first frame, one after the last, confidence


def recording(frames=220, second=((110, 160),), shift=0.0):
    "(T, 2, 25, 3) metres: somebody who sways, and a second person in some frames; zeros where there is none."
    joints = np.zeros((frames, 2, 25, 3))
    for joint, parent in NTU25.bones:
        joints[:, :, joint] = joints[:, :, parent] + np.array(NTU25.rest[joint]) * .25
    joints += [[[[shift, .2, 2.7]], [[1 + shift, .2, 3]]]]
    joints[..., 0] += .3 * np.sin(np.arange(frames) / 15)[:, None, None]
    there = np.zeros(frames, bool)
    for begin, end in second:
        there[begin:end] = True
    joints[~there, 1] = 0
    return joints.round(6)


def text(joints, newline="\n"):
    "A recording as its file: a frame a line, six decimals, a space before every line but the first."
    return f" {newline} ".join(" ".join(f"{x:.6f}" for x in frame.ravel()) for frame in joints).encode() + newline.encode()


def labels(actions=ACTIONS, newline="\n"):
    "A label file."
    return newline.join(",".join(map(str, a)) for a in actions).encode()


def split(train, test, second="Validataion videos: ", newline="\n"):
    "A split file; its second heading is spelled as in the genuine ones."
    return newline.join(["Training videos: ", ", ".join(train), second, ", ".join(test), ""]).encode()


def release(folder, part=1, frames=220, folders=("PKU_Skeleton_Renew", "Train_Label_PKU_final"), endings=(".txt", ".txt")):
    "Three recordings, each seen by three cameras, with labels and split files; returns the names of the videos."
    numbers = ("0002", "0003", "0291") if part == 1 else ("A01N01", "A10N08", "A26N14")
    videos = [f"{number}-{camera}" for number in numbers for camera in "LMR"]
    for name in folders:
        Path(folder, name).mkdir(parents=True, exist_ok=True)
    for k, video in enumerate(videos):
        Path(folder, folders[0], video + endings[0]).write_bytes(text(recording(frames, shift=k / 10), "\r\n" if k % 2 else "\n"))
        Path(folder, folders[1], video + endings[1]).write_bytes(labels(newline="\r\n" if k % 2 else "\n"))
    subject, view = ("cross-subject.txt", "cross-view.txt") if part == 1 else ("cross_subject_v2.txt", "cross_view_v2.txt")
    Path(folder, subject).write_bytes(split(videos[:6], videos[6:]))
    Path(folder, view).write_bytes(split([v for v in videos if v[-1] != "L"], [v for v in videos if v[-1] == "L"], newline="\r\n"))
    return videos
