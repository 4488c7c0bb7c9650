"Projections: what is near on the map is near by the cosine, the same twice, and a clear sentence for what cannot be laid out."
import numpy as np
import pytest
import torch

from skelbench.projection import FEWEST, clips_to_fit, clusters_of, nearest_in, neighbours_of, project, representations_of, turned_onto, unit_rows
from skelbench.skeleton import KINECT20
from skelbench.swapclr import SwapCLR
from skelbench.synthetic import make_synthetic


@pytest.fixture(scope="module")
def features():
    generator = np.random.default_rng(0)
    made = np.repeat(np.arange(4), 15)
    return generator.normal(size=(4, 2, 24))[made] + .2 * generator.normal(size=(60, 2, 24)), made


def test_pca_is_stable(features):
    rows, _ = features
    for dimensions in (2, 3):
        flat = project(rows, dimensions=dimensions)
        assert flat.shape == (60, dimensions) and (np.diff(flat.var(0)) <= 1e-12).all()
        assert np.allclose(flat, project(torch.as_tensor(rows), dimensions=dimensions)) and np.allclose(flat, project(7 * rows, dimensions=dimensions))
        assert np.allclose(flat[::-1], project(rows[::-1], dimensions=dimensions))  # the order of the clips turns no axis over
    few, many = project(rows[:20]), project(np.concatenate([rows[:20]] * 4))  # by products, by directions
    assert np.allclose(few, many[:20], atol=1e-9)


def test_tsne_keeps_groups_and_repeats(features):
    rows, made = features
    flat = project(rows, "tsne")
    nearest = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    np.fill_diagonal(nearest, np.inf)
    assert (made[nearest.argmin(1)] == made).all() and np.array_equal(flat, project(rows, "tsne"))


@pytest.mark.parametrize("clips", [1, 2, 3])
def test_few_clips(features, clips):
    rows, _ = features
    assert project(rows[:clips], dimensions=3).shape == (clips, 3) and np.isfinite(project(rows[:clips])).all()
    for kind in ("umap", "tsne"):
        with pytest.raises(ValueError, match=f"at least {FEWEST[kind]} clips, there are {clips}: take PCA"):
            project(rows[:clips], kind)


def test_equal_and_empty_clips(features):
    same = np.ones((6, 8))
    assert all((project(same, kind) == 0).all() for kind in ("pca", "umap", "tsne"))
    assert (unit_rows(np.zeros((3, 2, 4))) == 0).all()
    rows = features[0].copy()
    rows[4, 1, 3] = np.inf
    with pytest.raises(ValueError, match="1 of 60 clips are not finite, the first is wave 4"):
        project(rows, names=[f"wave {i}" for i in range(60)])
    for wrong, said in ((np.zeros((0, 4)), "no clip"), (np.zeros(4), "expected features"), (np.zeros((2, 3, 4, 5)), "expected features"),
                        (np.array([["a"]]), "numbers"), (np.zeros((2, 0)), "expected features")):
        with pytest.raises(ValueError, match=said):
            project(wrong)
    for options in ({"kind": "mds"}, {"dimensions": 1}, {"perplexity": 3}, {"names": ["a"]}):
        with pytest.raises(ValueError):
            project(features[0], **options)


def test_turned_onto(features):
    flat, angle = project(features[0]), .7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([-1, 1])
    assert np.allclose(turned_onto(flat @ turn + 3, flat), flat)
    with pytest.raises(ValueError):
        turned_onto(flat, flat[:5])


def test_neighbours_and_clusters(features):
    rows, made = features
    order, cosine = neighbours_of(rows, 20, 14)
    assert set(order) == set(np.flatnonzero(made == made[20])) - {20} and (np.diff(cosine) <= 0).all() and cosine.max() <= 1
    assert [len(neighbours_of(rows[:n], 0, 5)[0]) for n in (1, 2, 6, 9)] == [0, 1, 5, 5]
    groups = clusters_of(rows, 4)
    assert all(len(set(made[groups == k])) == 1 for k in range(4)) and len(set(clusters_of(rows[:2], 5))) == 2 and set(clusters_of(np.ones((4, 3)), 3)) == {0}
    for wrong in (lambda: neighbours_of(rows, 60), lambda: neighbours_of(rows, 0, 0), lambda: nearest_in(unit_rows(rows), -1), lambda: clusters_of(rows, 0)):
        with pytest.raises(ValueError):
            wrong()


def test_what_a_classifier_may_be_fitted_on():
    data = make_synthetic(clips=48, seed=0)
    train, test = data.split("xview")
    model = SwapCLR(data.skeleton, preset="small", blocks=((8, 2), (8, 2)), width=16, latent=6)
    assert representations_of(model) == ["c", "z_gen", "z_clr"]
    assert representations_of(SwapCLR(data.skeleton, preset="small", blocks=((8, 2), (8, 2)), width=16, latent=6, representation="z_clr"))[0] == "z_clr"
    assert len(clips_to_fit(model, test, data)[0]) == len(train) and len(clips_to_fit(model, test, train)[0]) == len(train)
    assert clips_to_fit(model, data, train)[0] is None and "none is left" in clips_to_fit(model, data, train)[1]
    assert clips_to_fit(model, test)[0] is None and "give `train`" in clips_to_fit(model, test)[1]
    with pytest.raises(ValueError, match="skeleton"):
        clips_to_fit(SwapCLR(KINECT20, preset="small", blocks=((8, 2), (8, 2)), width=16, latent=6), test, train)
