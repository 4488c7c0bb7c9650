"What was learned from is not asked: by the run, by a stage before it, by a classifier."
from dataclasses import replace
from types import SimpleNamespace

from test_finetuning import both, copied
from test_methods import refused

from skelbench.clips import SkeletonSet
from skelbench.clustering import cluster
from skelbench.crrl import CRRL
from skelbench.ensemble import ensemble
from skelbench.evaluation import linear, nearest
from skelbench.pairs import unlabelled_share
from skelbench.runs import clips_seen, load, trained_on
from skelbench.training import fit
from skelbench.unseen import check_unseen, stages_of


def test_own_training_clips_are_refused_and_strangers_are_not(run, sides):
    train, test = sides
    assert check_unseen(run, test, train) and check_unseen(run.model, test, train) is False
    assert "trained on" in refused(lambda: check_unseen(run, train))
    assert "training part, as" in refused(lambda: check_unseen(run, both(test, train.select([3])), train))  # a single row
    assert "labelled training part" in refused(lambda: check_unseen(run.model, train.select([0, 1]), train))
    half = copied(train, range(12), "twin ")  # under other names: a leak to report, unless most of the part is one
    assert check_unseen(run, both(test, half), train)
    assert "training part" in refused(lambda: check_unseen(run, half, train))


def test_without_its_set_a_run_is_known_by_its_fingerprint_alone(run, sides):
    lost = SimpleNamespace(info={**run.info, "data": "no such folder"})
    assert check_unseen(lost, sides[1]) is False
    assert "trained on" in refused(lambda: check_unseen(lost, sides[0]))


def test_a_stage_before_counts_too(run, sides):
    first = SimpleNamespace(info={"fingerprint": "of others", "protocol": "xview", "data": None, "start_from": run.info})
    assert [s.info["fingerprint"] for s in stages_of(first)] == ["of others", run.info["fingerprint"]]
    assert "trained on" in refused(lambda: check_unseen(first, sides[0]))


def test_every_evaluation_looks_first(run, sides):
    train, test = sides
    for evaluation in (linear, nearest, cluster):
        assert "trained on" in refused(lambda evaluation=evaluation: evaluation(run, test, train))
    assert linear(run, train, test, epochs=1).settings["checked_unseen"] and not linear(run.model, train, test, epochs=1).settings["checked_unseen"]


def test_a_run_keeps_the_clips_of_all_its_stages(sides, tmp_path):
    train, test = sides
    build = {"cml": {"queue": 8}, "crrl": {}}
    first_part, second_part = unlabelled_share(train, .5, 0), unlabelled_share(train, .3, 1)
    methods = {fusion: CRRL(train.skeleton, preset="small", fusion=fusion, people=2, width=6, **more) for fusion, more in build.items()}
    quick = {"epochs": 1, "batch_size": 8, "frames": 8}
    first = fit(methods["cml"], first_part, methods["cml"].recipe(**quick), to=tmp_path / "a", device="cpu", progress=False)
    second = fit(methods["crrl"], second_part, methods["crrl"].recipe(**quick), to=tmp_path / "b", device="cpu", progress=False, start_from=first)
    kept = load(tmp_path / "b").clips
    assert kept.equals(second.clips) and dict(kept["stage"].value_counts()) == {0: len(second_part), 1: len(first_part)}
    names = {stage: set(part["name"]) for stage, part in kept.groupby("stage")}
    assert names == {0: set(second_part.table["name"]), 1: set(first_part.table["name"])}
    strange = train.select([k for k, name in enumerate(train.table["name"]) if name not in names[0] | names[1]])
    assert len(strange) and check_unseen(second, strange) and check_unseen(second, test, train)
    for stage in (0, 1):  # one clip that only this stage saw
        clip = next(k for k, name in enumerate(train.table["name"]) if name in names[stage] - names[1 - stage])
        assert "1 of" in refused(lambda clip=clip: check_unseen(load(tmp_path / "b"), both(test, train.select([clip]))))
    assert check_unseen(ensemble([first, first]), strange) and "training part" in refused(lambda: check_unseen(ensemble([first, first]), train))


def test_the_list_of_clips_is_missing_or_damaged(sides, tmp_path):
    method = CRRL(sides[0].skeleton, preset="small", fusion="cml", people=2, width=6, queue=8)
    odd = replace(sides[0], table=sides[0].table.assign(name=["NA", "01", "a,\"b", *sides[0].table["name"][3:]]))  # names that a reader may take for others
    run = fit(method, odd, method.recipe(epochs=1, batch_size=16, frames=8), to=tmp_path / "a", device="cpu", progress=False)
    path = tmp_path / "a" / "clips.csv"
    assert load(tmp_path / "a").clips.equals(run.clips) and run.clips["name"].tolist()[:3] == ["NA", "01", "a,\"b"]
    cut = path.read_text().rsplit("\n", 2)[0] + "\n"  # whole lines, the last one lost
    for words in ("", "name,content\nx,y\n", "name,content,stage\nx,y,first\n", cut):
        path.write_text(words)
        assert "clips.csv is damaged" in refused(lambda: load(tmp_path / "a"))
    path.unlink()
    assert load(tmp_path / "a").clips is None and check_unseen(load(tmp_path / "a"), sides[1]) is False  # its set was never in a folder


def test_a_drawn_share_is_found_again_in_its_set(tmp_path, sides):
    whole = both(*sides).save(tmp_path / "a.skel")
    train = SkeletonSet.open(whole).split("xview")[0]
    part = unlabelled_share(train, .4, 2)
    run = SimpleNamespace(info={"data": str(whole), "protocol": "xview", "fingerprint": part.fingerprint}, clips=clips_seen(part))
    assert trained_on(run).fingerprint == part.fingerprint and trained_on(SimpleNamespace(info=run.info)) is None
