"Networks that follow slowly, queues of keys, and what a clip costs."
import pytest
import torch
from torch import nn

from skelbench.cost import cost, example_clips, flops
from skelbench.momentum import KeyQueue, check_queue, frozen_copy, momentum_update, projector
from skelbench.skeleton import NTU25
from skelbench.swapclr import SwapCLR


def net(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.999, 1.0])
def test_a_key_network_follows_by_the_formula(momentum):
    key, query = net(0), net(1)
    query(torch.randn(5, 3))
    before = {name: value.clone() for name, value in key.state_dict().items()}
    momentum_update(key, query, momentum)
    for name, value in key.state_dict().items():
        new = query.state_dict()[name]
        wanted = momentum * before[name] + (1 - momentum) * new if value.is_floating_point() else (before[name] if momentum == 1 else new)
        assert torch.allclose(value, wanted, atol=1e-6), name


def test_a_key_network_learns_nothing_by_itself():
    query = net(1)
    key = frozen_copy(query, lambda: net(0))
    assert all(torch.equal(a, b) and a.data_ptr() != b.data_ptr() for a, b in zip(key.parameters(), query.parameters(), strict=True))
    key(torch.randn(5, 3)).sum()
    assert not any(p.requires_grad for p in key.parameters())


@pytest.mark.parametrize("call, words", [
    (lambda: momentum_update(net(0), net(1), 1.5), "momentum must be from 0 to 1, got 1.5"),
    (lambda: momentum_update(nn.Linear(2, 3), nn.Linear(3, 2)), "cannot follow"),
    (lambda: KeyQueue(0, 4), "at least one key, got 0"),
    (lambda: projector(8), "an input and an output width"),
    (lambda: check_queue(65, 64), "use at most 64"),
])
def test_bad_input_is_one_line(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("batch", [1, 3, 7, 20])
def test_a_queue_keeps_the_last_keys(batch):
    queue, seen = KeyQueue(7, 3), []
    for _ in range(9):
        keys = torch.randn(batch, 3, requires_grad=True)
        queue.enqueue(keys)
        seen += list(nn.functional.normalize(keys.detach(), dim=1))
    found, wanted = (sorted(row.tolist() for row in rows) for rows in (queue.keys, torch.stack(seen[-7:])))
    assert torch.allclose(torch.tensor(found), torch.tensor(wanted), atol=1e-6)
    assert not queue.keys.requires_grad and set(queue.state_dict()) == {"keys", "pointer"}


def test_cost_counts_what_is_computed_and_leaves_no_trace():
    assert flops(lambda: torch.randn(4, 5) @ torch.randn(5, 6)) == 2 * 4 * 5 * 6
    torch.manual_seed(3)
    model, state = SwapCLR(NTU25, preset="small").eval(), torch.get_rng_state()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    one, two = cost(model, people=1, frames=16, repeats=1), cost(model, people=2, frames=16, repeats=1)
    assert 1.9 < two["flops_embed"] / one["flops_embed"] < 2.1 and one["milliseconds"] > 0
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert not model.training and torch.equal(torch.get_rng_state(), state)
    clips = example_clips(NTU25, clips=3, people=2, frames=9)
    assert clips.joints.shape == (3, 2, 9, 25, 3) and clips.valid.all()
