"Long recordings sewn from clips, features and classifiers of frames, measures: against slow loops."
import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, jaccard_score
from torch import nn

from skelbench import segmentation as seg
from skelbench.actclr import ActCLR
from skelbench.clips import SkeletonSet
from skelbench.crrl import CRRL
from skelbench.geometry import align_body, rotation_about
from skelbench.results import average, confusion
from skelbench.segmentation import Recordings, cut, frame_features, raw_frames, recordings_of, segment, segments, stitch
from skelbench.skeleton import get_skeleton
from skelbench.streams import resample
from skelbench.synthetic import make_synthetic

SKELETON = get_skeleton("body17")


class Tiny(nn.Module):
    "A stand-in with `frames`: each joint's coordinates through one layer, every third frame."

    def __init__(self, skeleton, width=6):
        super().__init__()
        self.skeleton, self.arguments = skeleton, {"width": width}
        self.layer = nn.Linear(3, width)

    def prepare(self, train):
        self.prepared = len(train)

    def embed(self, batch):
        return self.frames(batch).mean((2, 3, 4))

    def frames(self, batch):
        seen = torch.relu(self.layer(batch.joints[:, :, ::3])) * batch.present[:, :, None, None, None]
        return torch.stack([seen, seen ** 2], 1)


@pytest.fixture(scope="module")
def made():
    return make_synthetic(clips=48, seed=0, subjects=4, noise=0.002, dropout=0.0, occlusion=False)


@pytest.fixture(scope="module")
def pair(made):
    return made.split("xview")


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return Tiny(SKELETON)


def random_recordings(lengths=(40, 25, 7), people=2, classes=4, seed=0):
    draw = torch.Generator().manual_seed(seed)
    R, T, V = len(lengths), max(lengths), len(SKELETON)
    frames = torch.tensor(lengths)
    inside = torch.arange(T) < frames[:, None]
    valid = (torch.rand(R, people, T, V, generator=draw) > 0.1) & inside[:, None, :, None]
    valid[-1, 1] = False  # the last recording has one person
    labels = torch.randint(-1, classes, (R, T // 5 + 1), generator=draw).repeat_interleave(5, 1)[:, :T]
    return Recordings(torch.randn(R, people, T, V, 3, generator=draw) * valid[..., None], valid, labels, frames, SKELETON, list("abcdefg"[:classes]), "random")


# --- recordings -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("clips,gap,seed", [(5, 0, 0), (8, 4, 1), (1, 0, 2), (200, 3, 3)])
def test_every_clip_is_used_once_in_its_own_order(made, clips, gap, seed):
    recordings = stitch(made, clips, seed, gap)
    seen = []
    for r in range(len(recordings)):
        row, t = recordings.clip[r].tolist(), 0
        end = int(recordings.frames[r])
        while t < end:
            k = row[t]
            if k < 0:
                assert row[t:t + gap] == [-1] * gap and recordings.labels[r, t:t + gap].eq(-1).all()
                t += gap
                continue
            n = int(made.table["frames"].iloc[k])
            assert row[t:t + n] == [k] * n and recordings.labels[r, t:t + n].eq(int(made.table["label"].iloc[k])).all()
            seen.append(k)
            t += n
        assert t == end and recordings.clip[r, end:].eq(-1).all() and not recordings.valid[r, :, end:].any()
    assert sorted(seen) == list(range(len(made)))
    assert recordings.content == tuple(made.table["content"]) and recordings.left_out == 0


def test_people_and_cameras_stay_together_as_far_as_they_go(made):
    groups = seg.group_rows(made, 3, seed=0)
    subjects = [made.table.iloc[g].groupby(["subject", "camera"]).ngroups for g in groups]
    cameras = [made.table.iloc[g]["camera"].nunique() for g in groups]
    sizes = made.table.groupby(["subject", "camera"]).size()
    assert sum(s == 1 and len(g) == 3 for s, g in zip(subjects, groups)) >= int((sizes // 3).sum())
    left = (sizes - sizes // 3 * 3).groupby("camera").sum()
    assert sum(c == 1 and len(g) == 3 for c, g in zip(cameras, groups)) >= int((sizes // 3).sum() + (left // 3).sum())


def test_stitch_is_a_rigid_move_of_every_clip_and_goes_on_where_the_last_ended(made):
    recordings, pelvis = stitch(made, 4, seed=1), SKELETON.pelvis
    def facing(joints, valid):
        return float(seg.standing(joints[None], valid[None], SKELETON)[1])
    for r in range(len(recordings)):
        own = segments(recordings)[segments(recordings)[:, 0] == r].tolist()
        for n, (_, a, b, _) in enumerate(own):
            clip = made.clip(int(recordings.clip[r, a]))
            joints, valid = recordings.joints[r, :, a:b], recordings.valid[r, :, a:b]
            assert torch.equal(valid, clip.valid[0])
            # distances within a frame, and the way of the pelvis from frame to frame, are the clip's own
            assert torch.allclose((joints - joints[:, :, :1])[valid].norm(dim=-1), (clip.joints[0] - clip.joints[0][:, :, :1])[valid].norm(dim=-1), atol=1e-4)
            assert torch.allclose(joints[0, :, pelvis].diff(dim=0).norm(dim=-1), clip.joints[0, 0, :, pelvis].diff(dim=0).norm(dim=-1), atol=1e-4)
            if n:
                before, c = recordings.joints[r], own[n - 1][1]
                first, last = (slice(a, min(a + 5, b)), slice(max(a - 5, c), a))
                places = [seg.standing(x[None], v[None], SKELETON)[0] for x, v in (
                    (before[:, first], recordings.valid[r][:, first]), (before[:, last].flip(1), recordings.valid[r][:, last].flip(1)))]
                assert torch.allclose(*places, atol=1e-4)
                turned = facing(before[:, first], recordings.valid[r][:, first]) - facing(before[:, last].flip(1), recordings.valid[r][:, last].flip(1))
                assert abs(math.remainder(turned, 2 * math.pi)) < 1e-3


def test_chain_against_a_loop():
    draw = torch.Generator().manual_seed(3)
    first, last = ((torch.randn(2, 5, 3, generator=draw), torch.randn(2, 5, generator=draw)) for _ in range(2))
    theta, p = seg.chained(first, last)
    for r in range(2):
        turn, place = torch.tensor(0.0), first[0][r, 0]
        for k in range(5):
            if k:
                place = place + rotation_about("y", turn) @ (last[0][r, k - 1] - first[0][r, k - 1])
                turn = turn + last[1][r, k - 1] - first[1][r, k]
            assert torch.allclose(theta[r, k], turn, atol=1e-5) and torch.allclose(p[r, k], place, atol=1e-5)


def test_facing_is_the_turn_about_the_vertical(made):
    batch = made.batch([3])
    root, facing = seg.standing(batch.joints, batch.valid, SKELETON)
    angle = torch.tensor([0.7])
    turned = batch.joints @ rotation_about("y", angle)[0].T
    moved, other = seg.standing(turned + torch.tensor([1.0, 2, 3]), batch.valid, SKELETON)
    assert math.remainder(float(other - facing - angle), 2 * math.pi) == pytest.approx(0, abs=1e-4)
    assert torch.allclose(moved, root @ rotation_about("y", angle)[0].T + torch.tensor([1.0, 2, 3]), atol=1e-4)
    assert torch.allclose(align_body(batch.joints, batch.valid, SKELETON).origin, root)


def test_gaps_go_smoothly_from_pose_to_pose(made):
    plain, recordings = stitch(made, 4, seed=1), stitch(made, 4, seed=1, gap=7)
    assert int(recordings.frames.sum()) == int(plain.frames.sum()) + 7 * (int((made.table["frames"] > 0).sum()) - len(plain))
    assert torch.equal(recordings.joints[0, :, recordings.clip[0] >= 0][:, :20], plain.joints[0, :, plain.clip[0] >= 0][:, :20])
    for r, _, b, _ in segments(recordings).tolist():
        if b >= int(recordings.frames[r]): continue
        both = recordings.valid[r, :, b - 1] & recordings.valid[r, :, b + 7]
        for i in range(7):
            s = (i + 1) / 8
            w = s * s * (3 - 2 * s)
            expected = (1 - w) * recordings.joints[r, :, b - 1] + w * recordings.joints[r, :, b + 7]
            assert torch.equal(recordings.valid[r, :, b + i], both)
            assert torch.allclose(recordings.joints[r, :, b + i][both], expected[both], atol=1e-5)


def test_seed_gives_the_same_recordings_and_another_seed_others(made):
    one, two, three = stitch(made, 4, seed=0), stitch(made, 4, seed=0), stitch(made, 4, seed=1)
    assert torch.equal(one.joints, two.joints) and torch.equal(one.clip, two.clip)
    assert one.clip.shape != three.clip.shape or not torch.equal(one.clip, three.clip)


def test_segments_and_cut_against_loops(made):
    recordings = random_recordings()
    slow = []
    for r in range(3):
        for t in range(int(recordings.frames[r])):
            k = int(recordings.labels[r, t])
            if k < 0: continue
            if t and slow and slow[-1][0] == r and slow[-1][2] == t and slow[-1][3] == k: slow[-1][2] = t + 1
            else: slow.append([r, t, t + 1, k])
    assert segments(recordings).tolist() == slow
    pieces = cut(stitch(made, 4))
    assert len(pieces) == len(made) and sorted(pieces.table["label"]) == sorted(made.table["label"])
    assert sorted(pieces.table["frames"]) == sorted(made.table["frames"])


def test_frame_labels_of_a_set_make_recordings(made):
    draw = np.random.default_rng(0)
    clips = [{"joints": draw.normal(size=(n, 1, 17, 3)), "name": f"long{n}", "label": 0, "frame_labels": np.arange(n) // 10 - 1} for n in (30, 21)]
    data = SkeletonSet.from_clips(clips, SKELETON, ["a", "b", "c"], "long")
    recordings = recordings_of(data, clips=5)
    found = {int(n): labels[:n].tolist() for n, labels in zip(recordings.frames, recordings.labels)}
    assert found == {n: (np.arange(n) // 10 - 1).tolist() for n in (30, 21)}
    for r in range(2):
        own = data.clip(int(recordings.clip[r, 0]))
        assert torch.allclose(recordings.joints[r, :, :int(recordings.frames[r])], own.joints[0], atol=1e-5)


# --- features -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("window,hop", [(10, 3), (10, 10), (64, 5)])
def test_windows_cover_everything_and_end_with_the_recording(window, hop):
    frames = torch.tensor([40, 10, 7, 11])
    covered = [set() for _ in frames]
    found = list(zip(*(x.tolist() for x in seg.windows_of(frames, window, hop)), strict=True))
    assert len(set(found)) == len(found)
    for r, start, length in found:
        assert length == min(window, int(frames[r])) and 0 <= start <= int(frames[r]) - length
        covered[r] |= set(range(start, start + length))
    assert covered == [set(range(n)) for n in frames.tolist()]


def test_spread_against_a_loop():
    features, lengths = torch.randn(3, 2, 4, 5), torch.tensor([12, 9, 1])
    out = seg.spread(features, lengths, frames=14, window=12)  # stride ceil(14 / 4) = 4
    for b, n in enumerate(lengths.tolist()):
        for t in range(12):
            tau = min(min(t, n - 1) * (13 / 4) / max(n - 1, 1), 3)
            low = int(tau)
            expected = (1 - (tau - low)) * features[b, :, low] + (tau - low) * features[b, :, min(low + 1, 3)]
            assert torch.allclose(out[b, :, t], expected, atol=1e-5)


def slow_features(method, recordings, window, hop, frames):
    rows = []
    for r in range(len(recordings)):
        n = int(recordings.frames[r])
        size, start, sums, counts = min(window, n), 0, [0.0] * n, [0] * n
        starts = []
        while True:
            starts.append(min(start, n - size))
            if starts[-1] == n - size: break
            start += hop
        for start in starts:
            joints, valid = (x[r:r + 1, :, start:start + size] for x in (recordings.joints, recordings.valid))
            joints, valid = resample(joints, valid, torch.tensor([size]), frames)
            present = valid[0].any(2).any(1)
            found = method.frames(SimpleNamespace(joints=joints, valid=valid, present=valid.any(3).any(2)))[0].mean(3)  # (S, M, T', D)
            found = sum(found[:, m] for m in range(len(present)) if present[m]) / int(present.sum())
            steps = found.shape[1]
            for t in range(size):
                tau = min(t / max(size - 1, 1) * (frames - 1) / math.ceil(frames / steps), steps - 1)
                low = int(tau)
                value = (1 - (tau - low)) * found[:, low] + (tau - low) * found[:, min(low + 1, steps - 1)]
                sums[start + t], counts[start + t] = sums[start + t] + value, counts[start + t] + 1
        rows += [total / count for total, count in zip(sums, counts)]
    return torch.stack(rows)


@torch.no_grad()
def test_frame_features_against_a_loop(tiny):
    recordings = random_recordings()
    out = frame_features(tiny, recordings, window=12, hop=5, frames=9, batch_size=3)
    assert torch.allclose(out, slow_features(tiny, recordings, 12, 5, 9), atol=1e-5)
    keep = recordings.labels >= 0
    assert torch.allclose(frame_features(tiny, recordings, 12, 5, keep, 9), out[keep[recordings.real]], atol=1e-6)


def test_frame_features_of_real_methods(pair):
    recordings = stitch(pair[1].select(range(12)), 4)
    data = pair[0].skeleton
    for method in (ActCLR(data, preset="small", stage="moco"), CRRL(data, preset="small", people=2)):
        method.prepare(pair[0])
        method.train()
        out = frame_features(method, recordings, window=30, hop=10)
        assert out.dim() == 3 and len(out) == int(recordings.frames.sum()) and not out.requires_grad and method.training
        apart = torch.cat([frame_features(method, recordings[[r]], window=30, hop=10) for r in range(len(recordings))])
        assert torch.allclose(out, apart, atol=1e-4)


def test_raw_frames_against_a_loop():
    recordings = random_recordings(lengths=(20, 6))
    out, row = raw_frames(recordings, window=9, steps=4), 0
    for r in range(2):
        n = int(recordings.frames[r])
        for t in range(n):
            at = [min(max(t + o, 0), n - 1) for o in (-4, round(-4 + 8 / 3), round(-4 + 16 / 3), 4)]
            joints, valid = recordings.joints[r:r + 1, :, at], recordings.valid[r:r + 1, :, at]
            placed = align_body(joints, valid, SKELETON).apply(joints, valid)
            low, high = placed[valid].amin(0), placed[valid].amax(0)
            expected = (2 * (placed - low) / (high - low) - 1) * valid[..., None]
            assert torch.allclose(out[row, 0], expected.flatten(), atol=1e-4)
            row += 1
    assert row == len(out)


# --- measures -------------------------------------------------------------------------------------------------------

@pytest.mark.filterwarnings("ignore:y_pred contains classes")
def test_measures_against_loops_and_scikit_learn():
    draw = np.random.default_rng(0)
    truth, predicted = draw.choice([0, 1, 3], 200), draw.integers(0, 5, 200)  # 2 and 4 are guessed, but never true
    values = seg.measures(torch.from_numpy(truth), torch.from_numpy(predicted), 5)
    recall, ious, weight = [], [], []
    for k in (0, 1, 3):
        both = sum(t == k and p == k for t, p in zip(truth, predicted))
        either = sum(t == k or p == k for t, p in zip(truth, predicted))
        ious.append(both / either)
        weight.append(sum(t == k for t in truth))
        recall.append(both / weight[-1])
    slow = {"acc": np.mean(truth == predicted), "macc": np.mean(recall), "miou": np.mean(ious), "fwiou": np.dot(weight, ious) / sum(weight)}
    assert values == {k: pytest.approx(100 * v, abs=0.006) for k, v in slow.items()}
    n = confusion_matrix(truth, predicted, labels=range(5))
    known = {"acc": n.trace() / n.sum(), "macc": balanced_accuracy_score(truth, predicted),
             "miou": jaccard_score(truth, predicted, labels=[0, 1, 3], average="macro"),
             "fwiou": jaccard_score(truth, predicted, average="weighted", zero_division=0)}
    assert values == {k: pytest.approx(100 * v, abs=0.006) for k, v in known.items()}
    sure = torch.from_numpy(truth)
    assert set(seg.measures(sure, sure, 5).values()) == {100.0}


def test_interval_holds_the_share_and_knows_that_frames_are_not_alone():
    counted = torch.ones(30, 50, dtype=torch.bool)
    together = (torch.arange(30) < 18)[:, None].expand(30, 50)  # whole recordings right or wrong
    low, high = seg.recording_interval(together, counted)
    assert low < 60 < high and high - low > 25
    alone = (torch.arange(50) < 30).expand(30, 50)
    assert seg.recording_interval(alone, counted) == (60, 60)


# --- the evaluation -------------------------------------------------------------------------------------------------

QUICK = {"epochs": 8, "clips": 4, "frames": 16, "every": 5}


def test_segment_is_a_result_that_names_everything(pair, tiny):
    result = segment(tiny, *pair, protocol="xview", **QUICK)
    kept = json.loads(json.dumps(result.to_dict()))
    for key in ("evaluation", "method", "data", "fingerprint", "protocol", "seed", "epochs", "seconds", "device", "version", "settings", "per_class"):
        assert kept[key] == result[key]
    for row in (kept, kept["raw_coordinates"], kept["random_encoder"]):
        assert {"official", "macc", "miou", "fwiou", "interval"} <= set(row) and "leak_free" not in row
        assert row["interval"][0] <= row["official"] <= row["interval"][1]
    assert kept["clips"] == {"train": len(pair[0]), "test": len(pair[1]), "leaked": 0}
    assert kept["frames"]["test"] == pair[1].table["frames"].sum() == len(result.truth) == len(result.predicted) == len(result.twin)
    again = segment(tiny, *pair, protocol="xview", **QUICK)
    assert {**again} | {"seconds": 0} == {**result} | {"seconds": 0}
    for text in (repr(result), result._repr_html_()):
        assert "raw coordinates" in text and f"mIoU {result.miou:.1f}" in text


def test_what_works_on_results_works_on_it(pair, tiny):
    result = segment(tiny, *pair, **QUICK)
    table, classes = confusion(result, len(pair[0].classes)), pair[0].classes
    assert table.tolist() == confusion_matrix(result.truth, result.predicted, labels=range(len(classes))).tolist()
    assert result["per_class"] == {classes[k]: pytest.approx(100 * float(table[k, k] / table[k].sum()), abs=0.006) for k in result.truth.unique().tolist()}
    assert result.official == pytest.approx(100 * float(table.trace() / table.sum()), abs=0.006)
    assert average([result, result]).official == result.official


def test_leaked_frames_are_found_and_left_out(made, tiny):
    train, test = made.split("xview")
    copies = made.select(list(made.table["name"].isin(test.table["name"][:5])))
    both = made.select(np.flatnonzero(made.table["name"].isin([*train.table["name"], *copies.table["name"]])))
    learned, judged = stitch(both, 4), stitch(test, 4)
    twin = seg.twins(learned, judged)
    for r in range(len(judged)):
        for t in range(judged.labels.shape[1]):
            k = int(judged.clip[r, t])
            assert bool(twin[r, t]) == (k >= 0 and test.table["name"].iloc[k] in set(copies.table["name"]))
    result = segment(tiny, both, test, **QUICK)
    assert result["clips"]["leaked"] == 5 and result["frames"]["leaked"] == int(copies.table["frames"].sum()) and result.leak_free is not None
    features = lambda part, keep: frame_features(tiny, part, result["settings"]["window"], result["settings"]["hop"], keep, 16)  # noqa: E731
    guess = seg.frame_scores(features, learned, judged, every=5, epochs=8).argmax(2)
    which = (judged.labels >= 0) & ~twin
    assert result["leak_free"] == pytest.approx(100 * float((guess == judged.labels)[which].float().mean()), abs=0.006)
    assert result["official"] == pytest.approx(100 * float((guess == judged.labels)[judged.labels >= 0].float().mean()), abs=0.006)
    assert {f"leak_free_{k}": result[f"leak_free_{k}"] for k in ("macc", "miou", "fwiou")} == {
        f"leak_free_{k}": v for k, v in seg.measures(judged.labels[which], guess[which], len(judged.classes)).items() if k != "acc"}
    for row in ("raw_coordinates", "random_encoder"): assert {"leak_free", "leak_free_interval", "leak_free_miou"} <= set(result[row])


def test_recordings_of_the_user_give_the_same_numbers(pair, tiny):
    stitched = segment(tiny, *pair, **QUICK)
    own = [stitch(part, 4) for part in pair]
    given = [Recordings(r.joints, r.valid, r.labels, r.frames, r.skeleton, r.classes, r.name) for r in own]
    result = segment(tiny, *given, window=stitched["settings"]["window"], **QUICK)
    assert result["official"] == stitched["official"] and result["miou"] == stitched["miou"]
    assert result["clips"]["leaked"] == 0 and result.random_encoder
    same = segment(tiny, given[0], given[0], **QUICK)
    assert same["clips"]["leaked"] == same["clips"]["test"] and same.leak_free is None  # nothing would be left


def test_a_method_that_sees_the_action_segments_it(pair):
    class Oracle(Tiny):  # noqa: N801
        def frames(self, batch):
            lift = batch.joints[..., 1].amax(3).amax(1)  # (N, T) how high anyone reaches
            return torch.nn.functional.one_hot((lift > 10).long(), 2).float()[:, None, None, :, None]
    def marked(data):
        clips = []
        for i in range(len(data)):
            batch = data.clip(i)
            joints = batch.joints[0].transpose(0, 1).clone()
            label = i % 2
            joints[..., 1] += 20 * label * batch.valid[0].transpose(0, 1)
            clips.append({"joints": joints.numpy(), "valid": batch.valid[0].transpose(0, 1).numpy(), "name": str(i), "label": label})
        return SkeletonSet.from_clips(clips, data.skeleton, ["low", "high"], "marked")
    train, test = (recordings_of(marked(part), clips=1) for part in pair)
    result = segment(Oracle(SKELETON), train, test, **QUICK)
    assert result["official"] == result["miou"] == 100.0


def test_scores_are_of_every_frame_and_learned_from_labelled_ones(pair):
    learned, judged = (stitch(part, 4, gap=3) for part in pair)
    asked = []
    def features(part, keep):
        asked.append((part, keep))
        return raw_frames(part, 9, 2, keep)
    scores = seg.frame_scores(features, learned, judged, every=4, epochs=8)
    (one, taken), (two, all_of_them) = asked
    assert one is learned and two is judged and torch.equal(all_of_them, judged.real)
    rows = [i for i, label in enumerate(learned.labels.flatten().tolist()) if label >= 0][::4]
    assert taken.flatten().nonzero()[:, 0].tolist() == rows
    assert (scores[~judged.real] == 0).all() and (scores[judged.real].sum(1) - 1).abs().max() < 1e-4


def test_bad_input_is_one_clear_line(pair, tiny, made):
    train, test = pair
    blind = Tiny(SKELETON)
    blind.frames = None
    with pytest.raises(ValueError, match="Tiny has no `frames`"): segment(blind, train, test, **QUICK)
    with pytest.raises(ValueError, match="built for skeleton"): segment(Tiny(get_skeleton("ntu25")), train, test, **QUICK)
    short = SkeletonSet.from_clips([{"joints": np.ones((1, 1, 17, 3)), "name": "a", "label": 0}], SKELETON, ["x"], "brief")
    with pytest.raises(ValueError, match="brief are too short"): segment(tiny, short, test, **QUICK)
    empty = [Recordings(r.joints, r.valid, torch.full_like(r.labels, -1), r.frames, SKELETON, r.classes, "mute") for r in (stitch(train), stitch(test))]
    with pytest.raises(ValueError, match="no labelled frame in the training recordings of mute"): segment(tiny, *empty, **QUICK)
    with pytest.raises(ValueError, match="no labelled frame in the test"): segment(tiny, stitch(train), empty[1], **QUICK)
    with pytest.raises(ValueError, match="without any training frame"): segment(tiny, train.select(train.table["label"].to_numpy() > 0), test, **QUICK)
    with pytest.raises(ValueError, match="expected Recordings or a SkeletonSet"): segment(tiny, "train", test, **QUICK)
    with pytest.raises(ValueError, match="with clips"): segment(tiny, train, test.select([]), **QUICK)
    with pytest.raises(ValueError, match="at least 1"): stitch(train, clips=0)
    for words in ({"window": 0}, {"hop": 0}, {"window": 10, "hop": 11}):
        with pytest.raises(ValueError, match="hop from 1 to the window"): segment(tiny, train, test, **QUICK | words)
    with pytest.raises(ValueError, match="every is at least 1"): segment(tiny, train, test, **QUICK | {"every": 0})
    with pytest.raises(ValueError, match="standardise is one of"): segment(tiny, train, test, standardise="all", **QUICK)
    with pytest.raises(ValueError, match="expected a trained run or a method"): segment(nn.Linear(2, 2), train, test, **QUICK)
    one = stitch(train)
    two = replace(one, joints=one.joints.repeat(1, 2, 1, 1, 1), valid=one.valid.repeat(1, 2, 1, 1))
    with pytest.raises(ValueError, match="training recordings are of 4 people, test recordings of 2"): segment(tiny, two, test, **QUICK)
    with pytest.raises(ValueError, match="do not fit"): Recordings(one.joints, one.valid[:, :, :-1], one.labels, one.frames, SKELETON, one.classes, "cut")
    with pytest.raises(ValueError, match="labels below 2"): Recordings(one.joints, one.valid, one.labels, one.frames, SKELETON, ["a", "b"], "few")

    class Broken(Tiny):
        def frames(self, batch): return super().frames(batch) / 0
    with pytest.raises(ValueError, match="not finite"): segment(Broken(SKELETON), train, test, **QUICK)
