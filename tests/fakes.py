"Clips that several test files share: bodies that wobble, made in milliseconds."
import torch

from skelbench.clips import SkeletonBatch
from skelbench.geometry import forward_kinematics
from skelbench.skeleton import BODY17


def fake(clips=4, people=1, frames=12, skeleton=BODY17, missing=0.1, seed=0) -> SkeletonBatch:
    "Bodies that wobble in front of a camera, with joints missing."
    generator = torch.Generator().manual_seed(seed)
    angles = torch.randn(clips, people, 1, len(skeleton), 3, generator=generator) * 0.4
    angles = angles + 0.3 * torch.randn(clips, people, frames, len(skeleton), 3, generator=generator).cumsum(2) / 4
    root = torch.randn(clips, people, 1, 3, generator=generator) + torch.tensor([0, 1.0, 3.0])
    lengths = torch.full((len(skeleton),), 0.25)
    joints = forward_kinematics(angles, lengths, root.expand(clips, people, frames, 3), skeleton)
    valid = torch.rand(clips, people, frames, len(skeleton), generator=generator) > missing
    code = torch.zeros(clips, dtype=torch.long)
    return SkeletonBatch(joints * valid[..., None], valid, code, code, code, torch.arange(clips), code + frames, torch.arange(clips))
