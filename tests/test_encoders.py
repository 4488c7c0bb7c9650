"The encoders and decoders: counts, the same function as the formulas, gradients, masks."
import math

import pytest
import torch
from torch.nn import functional as F

from skelbench.decoders import SMALL_DECODER, GRUDecoder, ImplicitDecoder, time_embedding
from skelbench.encoders import (
    PAPER_BLOCKS,
    SMALL_BLOCKS,
    STGCN,
    GraphConvolution,
    GRUEncoder,
    end_states,
    last_states,
    lengths_of,
    pool,
    quick_dropout,
    time_average,
    turned,
)
from skelbench.skeleton import KINECT20, NTU25


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def count(module):
    return sum(p.numel() for p in module.parameters())


def tiny(**settings):
    return STGCN(KINECT20, **{"blocks": SMALL_BLOCKS, "dropout": 0.0, **settings})


def test_parameter_counts_are_the_papers():
    assert count(STGCN(NTU25)) == 9_871_364  # SwapCLR Sec. IV-B
    assert count(STGCN(NTU25, blocks=PAPER_BLOCKS(width=256), bias=True)) == 821_380  # ActCLR
    assert count(ImplicitDecoder()) == 1_920_078  # SwapCLR, an output
    assert count(tiny()) <= 250_000 and tiny().width >= 128


def test_paper_shapes():
    net = STGCN(NTU25, blocks=PAPER_BLOCKS(width=64))
    values = torch.randn(2, 3, 50, 25, 3)
    assert net.frames(values).shape == (2, 3, 64, 13, 25) and net(values).shape == (2, 3, 64)
    assert net.stride == 4 and net.width == 64


@pytest.mark.parametrize("channels", [3, 16])  # the dense way and the way through the joints
def test_graph_convolution_is_the_usual_order(channels):
    layer = GraphConvolution(channels, 12, NTU25.partition())
    for p in layer.parameters():
        torch.nn.init.normal_(p)
    x = torch.randn(2, 5, 25, channels, requires_grad=True)
    weight = layer.weight.transpose(0, 1).reshape(-1, channels, 1, 1)  # subset by subset, as the published 1x1 convolution has it
    wide = F.conv2d(x.permute(0, 3, 1, 2), weight, layer.bias.flatten()).unflatten(1, (3, -1))
    slow = torch.einsum("nkctv,kvw->ntwc", wide, layer.partition * layer.importance)
    torch.testing.assert_close(layer(x), slow, atol=1e-4, rtol=1e-4)
    probe = torch.randn_like(slow)
    wanted = [x, *layer.parameters()]
    for ours, theirs in zip(torch.autograd.grad((layer(x) * probe).sum(), wanted), torch.autograd.grad((slow * probe).sum(), wanted)):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


def test_whole_net_is_a_plain_stgcn():
    "The published order of operations, channels in the middle, from our parameters."
    net = STGCN(KINECT20, blocks=((8, 1), (8, 1), (16, 2)), edge_importance=True).eval()
    for p in net.parameters():
        torch.nn.init.normal_(p, 0, 0.3)
    for module in net.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            module.running_mean.normal_(), module.running_var.uniform_(0.5, 2)
    values = torch.randn(3, 2, 9, 20, 3)
    x = values.permute(0, 1, 3, 4, 2).reshape(6, 60, 9)
    x = net.data_norm(x).view(6, 20, 3, 9).permute(0, 2, 3, 1).contiguous()
    for i, block in enumerate(net.blocks):
        g = block.graph
        y = F.conv2d(x, g.weight.transpose(0, 1).reshape(-1, x.shape[1], 1, 1), g.bias.flatten()).unflatten(1, (3, -1))
        y = torch.einsum("nkctv,kvw->nctw", y, g.partition * g.importance)
        y = block.time_norm(block.time(F.relu(block.graph_norm(y)).contiguous()))
        residual = 0 if i == 0 else x if block.shortcut is None else block.shortcut(x[:, :, :: block.stride])
        x = F.relu(y + residual)
    assert net.blocks[1].shortcut is None and net.blocks[2].shortcut is not None
    torch.testing.assert_close(net(values), x.mean((2, 3)).view(3, 2, -1), atol=1e-3, rtol=1e-3)


def test_no_convolution_of_one_frame_has_a_stride():
    "On a CPU torch 2.13's backward pass of one with 8 channels, channels last, writes where it should not."
    net = STGCN(KINECT20, blocks=((8, 2), (8, 2)))
    assert all(layer.stride == (1, 1) for layer in net.modules() if isinstance(layer, torch.nn.Conv2d) and layer.kernel_size == (1, 1))


def test_every_parameter_gets_a_gradient():
    net = STGCN(KINECT20, blocks=PAPER_BLOCKS(width=32))
    (net(torch.randn(8, 1, 20, 20, 3)) * torch.randn(8, 1, 32)).sum().backward()
    for name, p in net.named_parameters():
        assert p.grad is not None and p.grad.isfinite().all() and p.grad.abs().sum() > 0, name
    decoder = ImplicitDecoder(16, joints=20, angles=True, **SMALL_DECODER)
    body, root = decoder(torch.randn(2, 16), 7)
    ((body * torch.randn_like(body)).sum() + (root * torch.randn_like(root)).sum()).backward()
    for name, p in decoder.named_parameters():
        assert p.grad is not None and p.grad.abs().sum() > 0, name


def test_initial_weights():
    net = STGCN(NTU25)
    wide = net.blocks[-1]
    for weight in (wide.graph.weight, wide.time.weight, wide.shortcut[0].weight):
        assert abs(weight.std().item() - 0.02) < 1e-3 and abs(weight.mean().item()) < 1e-3
    assert abs(wide.time_norm.weight.mean().item() - 1) < 0.01 and abs(wide.time_norm.weight.std().item() - 0.02) < 3e-3
    assert (wide.graph.bias == 0).all() and (wide.graph.importance == 1).all()


def test_people_are_independent_and_evaluation_repeats():
    net = STGCN(KINECT20, blocks=PAPER_BLOCKS(width=32)).eval()
    values = torch.randn(2, 3, 16, 20, 3)
    first = net(values)
    assert torch.equal(first, net(values))
    torch.testing.assert_close(net(values[:, [2, 0, 1]]), first[:, [2, 0, 1]], atol=1e-6, rtol=1e-5)
    assert not torch.equal(net.train()(values), net(values)), "dropout must drop while training"


def test_same_seed_same_dropout():
    net, values = STGCN(KINECT20, blocks=PAPER_BLOCKS(width=32)), torch.randn(4, 1, 16, 20, 3)
    outs = []
    for _ in range(2):
        torch.manual_seed(3)
        outs.append(net(values))
    assert torch.equal(*outs)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(rate):
    x = torch.ones(8, 24, 31, 25).contiguous(memory_format=torch.channels_last)
    y = quick_dropout(x, rate)
    assert abs((y == 0).float().mean().item() - rate) < 0.005 and abs(y.mean().item() - 1) < 0.03


def test_invalid_joints_are_zeros_whatever_they_hold():
    net, valid = tiny().eval(), torch.rand(2, 1, 32, 20) > 0.3
    values = torch.randn(2, 1, 32, 20, 3)
    garbage = values.masked_fill(~valid[..., None], float("nan"))
    torch.testing.assert_close(net(garbage, valid), net(values * valid[..., None], valid))


def test_pool_leaves_out_unseen_frames():
    features = torch.randn(2, 2, 5, 4, 20)  # T' = 4 of T = 7, stride 2
    valid = torch.ones(2, 2, 7, 20, dtype=torch.bool)
    torch.testing.assert_close(pool(features, valid, 2), features.mean((3, 4)))
    valid[0, 0, 3:], valid[1, 1] = False, False
    out = pool(features, valid, 2)
    torch.testing.assert_close(out[0, 0], features[0, 0, :, :2].mean((1, 2)))  # frames 0 and 2 of 0..2
    assert (out[1, 1] == 0).all()
    torch.testing.assert_close(out[0, 1], features[0, 1].mean((1, 2)))


@pytest.mark.parametrize("frames", [1, 2, 5, 33])
def test_any_length(frames):
    net = tiny().eval()
    valid = torch.ones(1, 1, frames, 20, dtype=torch.bool)
    values = torch.randn(1, 1, frames, 20, 3)
    assert net.frames(values).shape[3] == math.ceil(frames / net.stride)
    torch.testing.assert_close(net(values, valid), net(values))


def test_bfloat16_is_close():
    net, values = tiny().eval(), torch.randn(4, 1, 32, 20, 3)
    with torch.no_grad():
        exact = net(values)
        with torch.autocast("cpu", torch.bfloat16):
            rough = net(values).float()
    assert F.cosine_similarity(exact.flatten(), rough.flatten(), dim=0) > 0.99


def test_split_first_layer_is_the_concatenation():
    decoder = ImplicitDecoder(8, 6, joints=4, outputs=2, body=(10, 9), root=(7,), angles=True)
    z, moments = torch.randn(3, 2, 8), time_embedding(5, 6)
    x = torch.cat([z[:, :, None].expand(-1, -1, 5, -1), moments.expand(3, 2, -1, -1)], -1)
    b, r = (layers[0](x) for layers in (decoder.body, decoder.root))
    for layer in decoder.body[1:]:
        b = layer(F.elu(b))
    for layer in decoder.root[1:]:
        r = layer(F.elu(r))
    body, root = decoder(z, 5)
    torch.testing.assert_close(body, math.pi * torch.tanh(b).view(3, 2, 5, 4, 2))
    torch.testing.assert_close(root, r)
    assert body.abs().max() <= math.pi


def test_decoder_is_a_function_of_time():
    decoder, z = ImplicitDecoder(8, joints=20, **SMALL_DECODER), torch.randn(2, 8)
    torch.testing.assert_close(decoder(z, 13)[0][:, ::2], decoder(z, 7)[0], atol=1e-5, rtol=1e-4)
    assert decoder(z, 1)[0].shape == (2, 1, 20, 3)
    assert not torch.allclose(decoder(z, 7)[0][:, 0], decoder(z, 7)[0][:, 3])


def test_bad_arguments_say_what_was_expected():
    with pytest.raises(ValueError, match=r"\(N, M, T, 20, 3\)"):
        tiny()(torch.randn(2, 1, 8, 25, 3))
    with pytest.raises(ValueError, match="odd"):
        tiny(temporal_kernel=4)
    with pytest.raises(ValueError, match="frames >= 1"):
        ImplicitDecoder(8)(torch.randn(1, 8), 0)
    with pytest.raises(ValueError, match=r"\(\.\.\., 256\)"):
        ImplicitDecoder()(torch.randn(1, 8), 5)


# --- recurrent networks

def packed(encoder, values, lengths):
    "torch's own GRU over packed sequences, with the same weights."
    net = torch.nn.GRU(encoder.inputs, encoder.width, len(encoder.forwards), batch_first=True, bidirectional=True)
    for i, pair in enumerate(zip(encoder.forwards, encoder.backwards)):
        for part, end in zip(pair, ("", "_reverse")):
            for name, weight in part.named_parameters():
                getattr(net, name.replace("l0", f"l{i}") + end).data = weight.data
    rows = torch.nn.utils.rnn.pack_padded_sequence(values, lengths, batch_first=True, enforce_sorted=False)
    states, final = net(rows)
    return torch.nn.utils.rnn.pad_packed_sequence(states, batch_first=True, total_length=values.shape[1])[0], final


@pytest.mark.parametrize("lengths", [[7, 3, 1, 5], [7, 7, 7, 7], [2, 2, 1, 1]])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_gru_is_a_packed_sequence(lengths, layers):
    encoder, lengths = GRUEncoder(5, 6, layers), torch.tensor(lengths)
    seen = torch.arange(7) < lengths[:, None]
    values = torch.randn(4, 7, 5)
    wild = values.masked_fill(~seen[..., None], torch.nan).requires_grad_()
    calm = values.clone().requires_grad_()
    ours, (theirs, final) = encoder(wild, seen), packed(encoder, calm, lengths)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(end_states(ours, seen), torch.cat([final[-2], final[-1]], -1))
    torch.testing.assert_close(last_states(ours, seen), theirs[torch.arange(4), lengths - 1])
    torch.testing.assert_close(time_average(ours, seen), theirs.sum(1) / lengths[:, None])
    probe = torch.randn_like(ours)
    weights = list(encoder.parameters())
    mine = torch.autograd.grad((ours * probe).sum(), [wild, *weights])
    assert torch.equal(mine[0][~seen], torch.zeros_like(mine[0][~seen]))
    theirs_x, = torch.autograd.grad((theirs * probe).sum(), calm)
    torch.testing.assert_close(mine[0], theirs_x, atol=1e-5, rtol=1e-4)
    assert all(g.abs().sum() > 0 for g in mine[1:])


def test_gru_weight_gradients_are_torchs():
    encoder = GRUEncoder(5, 6, 2)
    net = torch.nn.GRU(5, 6, 2, batch_first=True, bidirectional=True)
    for i, pair in enumerate(zip(encoder.forwards, encoder.backwards)):
        for part, end in zip(pair, ("", "_reverse")):
            for name, weight in part.named_parameters():
                getattr(net, name.replace("l0", f"l{i}") + end).data.copy_(weight.data)
    values, probe = torch.randn(3, 8, 5), torch.randn(3, 8, 12)
    (encoder(values) * probe).sum().backward()
    (net(values)[0] * probe).sum().backward()
    for i, pair in enumerate(zip(encoder.forwards, encoder.backwards)):
        for part, end in zip(pair, ("", "_reverse")):
            for name, weight in part.named_parameters():
                torch.testing.assert_close(weight.grad, getattr(net, name.replace("l0", f"l{i}") + end).grad, atol=1e-4, rtol=1e-4)


def test_gru_counts():
    assert count(GRUEncoder(150, 256, 2)) == 1_809_408  # CRRL Table XI
    assert count(GRUDecoder(512, 150)) == 434_700
    assert count(GRUEncoder(60, 1024, 3, merge="sum")) == 44_445_696 and GRUEncoder(60, 64, merge="sum").width_out == 64  # FoCoViL


def test_gru_merges_the_last_layer():
    torch.manual_seed(1)
    apart = GRUEncoder(4, 6, 2)
    summed = GRUEncoder(4, 6, 2, merge="sum")
    summed.load_state_dict(apart.state_dict())
    values, seen = torch.randn(3, 5, 4), torch.arange(5) < torch.tensor([5, 2, 4])[:, None]
    torch.testing.assert_close(summed(values, seen), apart(values, seen).unflatten(2, (2, 6)).sum(2))
    torch.testing.assert_close(summed.ends(values, seen), apart.ends(values, seen).unflatten(1, (2, 6)).sum(1))
    torch.testing.assert_close(apart.ends(values, seen), end_states(apart(values, seen), seen))


def test_gru_without_a_frame_and_with_gaps():
    encoder, values = GRUEncoder(4, 6, 2), torch.randn(3, 5, 4)
    seen = torch.tensor([[False] * 5, [True, False, True, False, False], [True] * 5])
    states = encoder(values, seen)
    assert (states[0] == 0).all() and (time_average(states, seen)[0] == 0).all() and (end_states(states, seen)[0] == 0).all()
    assert lengths_of(seen).tolist() == [0, 3, 5]
    filled = values[1:2, :3].clone()
    filled[0, 1] = 0
    torch.testing.assert_close(states[1:2, :3], encoder(filled))  # a gap is a frame of zeros
    torch.testing.assert_close(time_average(states, seen)[1], states[1, :3].mean(0))


def test_gru_dropout_is_between_layers_and_for_training():
    values = torch.randn(2, 6, 4)
    one, two = GRUEncoder(4, 6, 1, dropout=0.9), GRUEncoder(4, 6, 2, dropout=0.5)
    assert torch.equal(one(values), one(values)), "one layer has nothing between layers"
    assert not torch.equal(two(values), two(values))
    two.eval()
    assert torch.equal(two(values), two(values))


def test_turned_is_its_own_inverse():
    values, lengths = torch.randn(4, 6, 3), torch.tensor([6, 1, 0, 4])
    back = turned(values, lengths)
    assert torch.equal(turned(back, lengths), values) and torch.equal(back[3, :4], values[3, :4].flip(0)) and torch.equal(back[3, 4:], values[3, 4:])
    assert torch.equal(turned(values), values.flip(1))


@pytest.mark.parametrize("layers, outputs", [(2, None), (1, 9)])
def test_gru_decoder_is_torchs(layers, outputs):
    decoder = GRUDecoder(4, 7, layers, outputs)
    hints, state = torch.randn(3, 4), torch.randn(3, 7)
    start = state.expand(layers, -1, -1).contiguous()
    for given, fed in ((hints, hints[:, None].expand(-1, 5, -1)), (None, torch.zeros(3, 5, 4))):
        wanted = decoder.layers(fed, start)[0]
        torch.testing.assert_close(decoder(given, 5, state), wanted if outputs is None else decoder.output(wanted))
    torch.testing.assert_close(decoder(hints, 5), decoder(hints, 5, torch.zeros(layers, 3, 7)))


@pytest.mark.parametrize("call, words", [
    (lambda: GRUEncoder(4)(torch.randn(2, 3, 5)), r"\(B, T, 4\)"), (lambda: GRUEncoder(4, merge="mean"), "concatenate or sum"),
    (lambda: GRUEncoder(4, dropout=1), "dropout"), (lambda: GRUDecoder(4, 3)(None, 5), "hints or a state"),
    (lambda: GRUDecoder(4, 3)(torch.randn(2, 5), 5), r"\(B, 4\)"), (lambda: GRUDecoder(4, 3)(None, 5, torch.randn(2, 4)), r"\(B, 3\)"),
    (lambda: GRUDecoder(4, 3)(torch.randn(2, 4), 0), "at least 1"), (lambda: GRUDecoder(4, 3, layers=0), "layers"),
])
def test_gru_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()
