"What was learned from is not asked: by the run, by a stage before it, by a classifier."
from types import SimpleNamespace

from test_finetuning import both, copied
from test_methods import refused

from skelbench.clustering import cluster
from skelbench.evaluation import linear, nearest
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
