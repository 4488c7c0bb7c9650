"The linear schedules, their fusion and k-NN against torch, scikit-learn and slow loops."
import numpy as np
import pytest
import torch
from torch import nn

from skelbench.probes import SCHEDULES, best_weights, each_scores, fit_linear, fused, learned_weights, linear_probe, linear_scores, nearest_labels, schedule_of


def toy(clips=120, streams=3, width=5, classes=4, noise=1.0, seed=0):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (clips,), generator=draw)
    centres = torch.randn(streams, classes, width, generator=draw) * 2
    return centres[:, labels].transpose(0, 1) + noise * torch.randn(clips, streams, width, generator=draw), labels


def as_ever(features, labels, classes, epochs=500, learning_rate=0.1, drop_epoch=200, batch_size=None, seed=0):
    "The classifier as results were measured with before there were schedules, operation by operation."
    features = features.transpose(0, 1).contiguous()
    streams, clips, width = features.shape
    order = torch.Generator().manual_seed(seed)
    weight, bias = torch.zeros(streams, width, classes, requires_grad=True), torch.zeros(streams, 1, classes, requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=learning_rate)
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = learning_rate * (0.1 if epoch >= drop_epoch else 1.0)
        for rows in torch.randperm(clips, generator=order).split(batch_size) if batch_size else [slice(None)]:
            logits = torch.baddbmm(bias, features[:, rows], weight)
            optimizer.zero_grad()
            (nn.functional.cross_entropy(logits.transpose(1, 2), labels[rows].expand(streams, -1)) * streams).backward()
            optimizer.step()
    return weight.detach(), bias.detach()


def test_the_default_is_bit_for_bit_what_it_was():
    features, labels = toy(clips=40)
    for ours, before in zip(fit_linear(features, labels, 4), as_ever(features, labels, 4)):
        assert torch.equal(ours, before)
    for ours, before in zip(fit_linear(features, labels, 4, epochs=30, batch_size=15, seed=2), as_ever(features, labels, 4, 30, batch_size=15, seed=2)):
        assert torch.allclose(ours, before, atol=1e-6)
    features, labels = toy(streams=2)
    with torch.no_grad():  # also where gradients are off
        assert torch.equal(fit_linear(features, labels, 4, epochs=20)[0], as_ever_on(features, labels, 4, 20))


@torch.enable_grad()
def as_ever_on(*values): return as_ever(*values)[0]


@pytest.mark.parametrize("schedule, nesterov", [("aimclr", False), ("crrl", True)])
def test_sgd_against_torch_one_stream_after_the_other(schedule, nesterov):
    features, labels = toy(clips=90)
    wish = {"epochs": 6, "drops": (2, 4), "batch_size": 16, "learning_rate": 0.05}
    weight, bias = fit_linear(features, labels, 4, schedule=schedule, seed=3, **wish)
    for s in range(3):
        layer, order = nn.Linear(5, 4), torch.Generator().manual_seed(3)
        nn.init.zeros_(layer.weight), nn.init.zeros_(layer.bias)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.05, momentum=0.9, nesterov=nesterov)
        for epoch in range(6):
            optimizer.param_groups[0]["lr"] = 0.05 * SCHEDULES[schedule]["factor"] ** ((epoch >= 2) + (epoch >= 4))
            for rows in torch.randperm(90, generator=order).split(16):
                optimizer.zero_grad()
                nn.functional.cross_entropy(layer(features[rows, s]), labels[rows]).backward()
                optimizer.step()
        assert torch.allclose(weight[s], layer.weight.T, atol=1e-5) and torch.allclose(bias[s, 0], layer.bias, atol=1e-5)


def test_presets_and_wishes():
    assert schedule_of("aimclr") == {"optimizer": "sgd", "learning_rate": 3.0, "epochs": 100, "batch_size": 128, "drops": (80,), "factor": 0.1}
    assert schedule_of("crrl", epochs=9, learning_rate=None)["epochs"] == 9 and schedule_of("crrl")["epochs"] == 85
    for wish, sentence in (({"schedule": "sgd"}, "schedule is one of swapclr, aimclr, crrl, convex"),
                           ({"schedule": "convex", "learning_rate": 1}, "no learning_rate"),
                           ({"epochs": 0}, "at least 1 epoch"), ({"batch_size": -2}, "batches of at least 1"), ({"learning_rate": 0.0}, "above 0")):
        with pytest.raises(ValueError, match=sentence):
            schedule_of(**wish)
    with pytest.raises(ValueError, match="has no l2"):
        fit_linear(*toy(), 4, l2=1.0)
    features, labels = toy()
    steps = []
    fit_linear(features, labels, 4, schedule="crrl", watch=lambda w, b: steps.append(w))
    assert len(steps) == 85


@pytest.mark.parametrize("shape", [{"clips": 120, "width": 6}, {"clips": 40, "width": 70}])  # more clips than numbers, and fewer
def test_convex_has_one_optimum_and_scikit_learn_finds_it_too(shape):
    from sklearn.linear_model import LogisticRegression

    features, labels = toy(streams=2, **shape)
    features = features * torch.tensor([1.0, 0.1])[:, None] + 3
    draw = torch.Generator().manual_seed(1)
    start = torch.randn(2, features.shape[2], 4, generator=draw), torch.randn(2, 1, 4, generator=draw)
    zero, other = (fit_linear(features.double(), labels, 4, schedule="convex", start=s and [x.double() for x in s]) for s in (None, start))
    for s in range(2):
        assert torch.allclose(zero[0][s], other[0][s], atol=1e-4) and torch.allclose(zero[1][s], other[1][s], atol=2e-3)
        theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=20000).fit(features[:, s].double().numpy(), labels.numpy())
        assert np.allclose(zero[0][s].T, theirs.coef_, atol=1e-4) and np.allclose(zero[1][s, 0], theirs.intercept_, atol=2e-3)
    x = features[:, 0].double()
    error = (x @ zero[0][0] + zero[1][0]).softmax(1) - nn.functional.one_hot(labels, 4)
    assert (x.T @ error / len(x) + zero[0][0] / len(x)).abs().max() < 1e-5 and error.mean(0).abs().max() < 1e-5  # the gradient


def test_convex_says_when_it_did_not_arrive_and_never_chooses_an_absent_class():
    features, labels = toy(width=40)
    with pytest.raises(ValueError, match="no optimum within 2 steps"):
        fit_linear(features, labels, 4, schedule="convex", epochs=2)
    with pytest.raises(ValueError, match="l2 must be above 0"):
        fit_linear(features, labels, 4, schedule="convex", l2=0.0)
    there = labels != 2
    six = linear_scores(features[there], labels[there], features, schedule="convex", classes=6)
    assert torch.isfinite(six).all() and not set(six.argmax(1).tolist()) & {2, 4, 5}
    loose, tight = (fit_linear(features, labels, 4, schedule="convex", l2=l2)[0].norm() for l2 in (1e-4, 1.0))
    assert loose > 3 * tight


def test_fusion_against_a_slow_loop():
    features, labels = toy(noise=3)
    for combine in ("probabilities", "logits"):
        weight, bias = fit_linear(features[:80], labels[:80], 4, epochs=20)
        probe = linear_probe(features[:80], labels[:80], features[80:], 4, combine, None, (2, 1, 1), epochs=20)
        slow = torch.zeros(40, 4)
        for n in range(40):
            for s, share in enumerate((0.5, 0.25, 0.25)):
                logits = features[80 + n, s] @ weight[s] + bias[s, 0]
                slow[n] += share * (logits.softmax(0) if combine == "probabilities" else logits)
        assert torch.allclose(probe.scores, slow, atol=1e-5) and probe.weights.tolist() == [0.5, 0.25, 0.25]
        assert torch.equal(probe.each, each_scores(features[80:], weight, bias, combine).argmax(2))
    one = linear_probe(features[:80], labels[:80], features[80:], fuse=(0, 1, 0), epochs=20, test_labels=labels[80:])
    assert torch.equal(one.scores.argmax(1), one.each[1]) and torch.equal(one.right[-1], one.each[1] == labels[80:])
    equal = linear_probe(features[:80], labels[:80], features[80:], fuse=(7, 7, 7), epochs=20)
    assert torch.allclose(equal.scores, linear_scores(features[:80], labels[:80], features[80:], epochs=20), atol=1e-6)


@pytest.mark.parametrize("combine", ("probabilities", "logits"))
def test_best_weights_are_no_worse_than_any_of_a_grid(combine):
    draw = torch.Generator().manual_seed(5)
    labels = torch.randint(4, (60,), generator=draw)
    scores = torch.randn(3, 60, 4, generator=draw)
    scores[0, torch.arange(60), labels] += 1
    scores[1, torch.arange(60), labels] += 0.7
    scores = scores.softmax(-1) if combine == "probabilities" else scores

    def cost(w):
        mixed = fused(scores.double(), w)
        return float(nn.functional.nll_loss(mixed.log() if combine == "probabilities" else mixed.log_softmax(1), labels))

    best = best_weights(scores, labels, combine)
    assert best.min() >= 0 and float(best.sum()) == pytest.approx(1)
    assert cost(best) <= min(cost(torch.tensor([a, b, 1 - a - b])) for a in np.linspace(0, 1, 21) for b in np.linspace(0, 1 - a, 21)) + 1e-7


def test_learned_weights_come_from_clips_that_were_not_learned_from(monkeypatch):
    "A stream that is a name tag of every clip is perfect on what was learned and knows nothing else; copies stay together."
    from skelbench import probes

    features, labels = toy(clips=80, streams=1, width=80, noise=1.5)
    both = torch.cat([features, torch.eye(80)[:, None] * 50], 1)
    weights = learned_weights(both, labels, 4, schedule="convex", seed=1)
    assert weights[1] < 0.15 and torch.equal(weights, learned_weights(both, labels, 4, schedule="convex", seed=1))
    twice, known = both.repeat(2, 1, 1), labels.repeat(2)
    assert learned_weights(twice, known, 4, groups=np.arange(160) % 80, schedule="convex")[1] < 0.15  # a copy in another fold would tell

    parts, real = [], probes.fit_linear
    monkeypatch.setattr(probes, "fit_linear", lambda x, *a, **k: (parts.append(x[:, 1].argmax(1).tolist()), real(x, *a, **k))[1])
    learned_weights(twice, known, 4, groups=np.arange(160) % 80, epochs=2)
    assert len(parts) == 5 and sum(160 - len(p) for p in parts) == 160 and all(parts_.count(i) in (0, 2) for parts_ in parts for i in range(80))
    with pytest.raises(ValueError, match="two training clips of every class, but label 1 has one"):
        learned_weights(both[:4], torch.tensor([0, 0, 1, 0]), 2)


@pytest.mark.parametrize("k", (1, 3, 7, 60))
def test_neighbours_against_scikit_learn(k):
    from sklearn.neighbors import KNeighborsClassifier

    features, labels = toy(clips=100, noise=4)
    flat = nn.functional.normalize(features, dim=-1).flatten(1).double().numpy()
    theirs = KNeighborsClassifier(k, metric="cosine").fit(flat[:60], labels[:60].numpy())
    near = theirs.kneighbors(flat[60:])[1]
    votes = np.stack([np.bincount(labels[:60].numpy()[row], minlength=4) for row in near])
    clear = (votes == votes.max(1, keepdims=True)).sum(1) == 1  # scikit-learn breaks ties by the class's number
    ours = nearest_labels(features[:60], labels[:60], features[60:], k).numpy()
    assert clear.sum() >= 20 and (ours[clear] == theirs.predict(flat[60:])[clear]).all()


def test_ties_go_to_the_nearer_class():
    angles = torch.tensor([0.1, 0.5, 0.2, 0.25, 2.0]).double()  # of the bank; the query lies at 0
    bank, query = torch.stack([angles.cos(), angles.sin()], 1)[:, None], torch.tensor([[[1.0, 0.0]]]).double()
    labels = torch.tensor([2, 2, 0, 0, 1])
    assert [nearest_labels(bank, labels, query, k).item() for k in (1, 2, 3, 4, 5)] == [2, 2, 0, 0, 0]
    for k in (0, 6):
        with pytest.raises(ValueError, match=f"from 1 to the 5 training clips in the bank, got {k}"):
            nearest_labels(bank, labels, query, k)
