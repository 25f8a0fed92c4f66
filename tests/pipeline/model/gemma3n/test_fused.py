"""Each kernel against its definition in ``plain``; without a GPU, Triton interprets the kernels."""

import bitsandbytes
import pytest
import torch

from paperlora.pipeline.model.gemma3n import fused, plain
from paperlora.pipeline.model.gemma3n.parameters import Adapter, Projection

T, S, H = 3, 4, 48  # H is not a power of two


class Weights:
    """The parts of a layer that the operations read."""

    eps = 1e-6

    def __init__(self):
        def vector():
            return 1 + 0.1 * torch.randn(H)

        self.router_norm, self.input_norm, self.attention_norm = vector(), vector(), vector()
        self.before_mlp_norm, self.after_mlp_norm = vector(), vector()
        self.laurel_norm, self.ple_norm, self.output_scale = vector(), vector(), vector()
        self.router = torch.randn(S, H) / H**0.5
        self.predict = 0.3 * torch.randn(S * S, S)
        self.correct = 0.3 * torch.randn(S, S)


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return Weights()


def rows(*lead):
    return torch.randn(*lead, T, H)


def wide(width=H):
    """A row-major matrix with columns beside it, as the inputs of products have."""
    return torch.full((T, width + 8), float("nan"))[:, :width]


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)


def both(call):
    """The results of ``call`` for both modules; it makes its own outputs."""
    return call(fused), call(plain)


def test_predict(layer):
    h, dp, skip, dx = rows(S), rows(S), rows(), rows()

    def forward(ops):
        x = wide()
        return ops.predict(layer, h, x), x

    assert_same(*both(forward))
    assert_same(*both(lambda ops: [ops.predict_backward(layer, h, dp.clone(), skip, dx)]))


@pytest.mark.parametrize("keep", [True, False])
def test_correct(layer, keep):
    a, m, p, dq, du = rows(), rows(), rows(S), rows(S), rows()

    def forward(ops):
        q, u = ops.correct(layer, a, m, p, keep=keep)
        assert (q is not None) is keep
        return [u, *([q] if keep else [])]

    def backward(ops):
        down = dq.clone()
        return *ops.correct_backward(layer, a, m, p, down, du), down

    assert_same(*both(forward))
    assert_same(*both(backward))


def test_add_ple(layer):
    q, y = rows(S), rows()

    def forward(ops):
        out = q.clone()
        ops.add_ple(layer, out, y)
        return [out]

    assert_same(*both(forward))
    assert_same(*both(lambda ops: [ops.add_ple_backward(layer, y, q)]))


def test_combine(layer):
    o, p0, x, low, da, df = rows(), rows(), rows(), rows(), rows(), rows()

    def forward(ops):
        f = wide()
        return ops.combine(layer, o, p0, x, low, f), f

    assert_same(*both(forward))
    a = plain.combine(layer, o, p0, x, low, wide())
    assert_same(*both(lambda ops: ops.combine_backward(layer, o, low, a, da, df)))


@pytest.mark.parametrize(("normed", "rotated"), [(True, True), (False, False)])
def test_rotate(normed, rotated):
    torch.manual_seed(0)
    heads, width = 2, 32
    y, dout = torch.randn(T, heads * width + 5)[:, :-5], torch.randn(T, heads, width + 3)
    dout = dout[..., :width].transpose(0, 1)
    weight = torch.randn(width) if normed else None
    rotary = (torch.randn(T, width // 2), torch.randn(T, width // 2)) if rotated else None

    def backward(ops):
        dy = wide(heads * width)
        ops.rotate_backward(y, weight, 1e-6, rotary, dout, dy)
        return [dy]

    assert_same(*both(lambda ops: [ops.rotate(y, weight, 1e-6, rotary, heads)]))
    assert_same(*both(backward))


@pytest.mark.parametrize("cutoff", [None, 0.0, 1.6])
def test_activate(cutoff):
    torch.manual_seed(0)
    y, dh = torch.randn(T, 2 * 96), torch.randn(T, 96)

    def forward(ops):
        h = wide(96)
        ops.activate(y, cutoff, h)
        return [h]

    def backward(ops):
        out = y.clone()
        ops.activate_backward(out, cutoff, dh)
        return [out]

    assert_same(*both(forward))
    assert_same(*both(backward))


def test_gate_ple():
    torch.manual_seed(0)
    g, dz, e = torch.randn(T, 16), torch.randn(T, 16), torch.randn(T, 5, 16)[:, 2]
    assert_same(*both(lambda ops: [ops.gate_ple(g, e)]))
    assert_same(*both(lambda ops: [ops.gate_ple_backward(g, e, dz)]))


@pytest.mark.parametrize("window", [128, 40])
def test_attend(window):
    torch.manual_seed(0)
    tokens, width = 128, 32
    q, k, v = (
        torch.randn(4, tokens, width),
        torch.randn(2, tokens, width) / 2,
        torch.randn(2, tokens, width),
    )
    sizes = [50, 60, 18]
    ends = torch.tensor(sizes).cumsum(0)
    bounds = (
        (ends - torch.tensor(sizes)).repeat_interleave(torch.tensor(sizes)),
        ends.repeat_interleave(torch.tensor(sizes)),
    )
    dout = torch.randn(tokens, 4, width + 8)[..., :width].transpose(0, 1)
    assert_same(*both(lambda ops: [ops.attend(q, k, v, bounds, window)[0]]))

    def backward(ops):
        made = ops.attend(q, k, v, bounds, window)
        return ops.attend_backward((q, k, v), bounds, window, made, dout)

    assert_same(*both(backward))


@pytest.mark.parametrize("adapted", [True, False])
def test_expand(adapted):
    torch.manual_seed(0)
    rows_, columns, rank = 20, 192, 8
    weight = bitsandbytes.nn.Params4bit(
        torch.randn(rows_, columns), quant_type="nf4", compress_statistics=True
    ).to("cpu")
    pair = Adapter(
        a=torch.randn(rank, columns), b=torch.randn(rows_, rank),
        a_gradient=torch.zeros(rank, columns), b_gradient=torch.zeros(rows_, rank), scale=2.0,
    )  # fmt: skip
    one = Projection(
        weight=weight, state=weight.quant_state, rows=rows_, columns=columns,
        adapter=pair if adapted else None,
    )  # fmt: skip

    def unpack(ops):
        out = torch.full((rows_, columns + (64 if adapted else 0)), float("nan"))
        ops.expand(one, out, 8)
        return [out]

    found, expected = both(unpack)
    assert torch.equal(found[0][:, :columns], expected[0][:, :columns])
    assert_same(found, expected)


def test_cross_entropy():
    torch.manual_seed(0)
    logits, labels, scale = (
        20 * torch.randn(4, 300),
        torch.tensor([7, -100, 299, 0]),
        torch.tensor(0.25),
    )

    def loss(ops):
        given, losses = logits.clone(), torch.full((4,), float("nan"))
        ops.cross_entropy(given, labels, 30.0, scale, losses)
        return given, losses

    assert_same(*both(loss))


def test_a_wrong_kernel_would_be_noticed(layer):
    """The control: another eps gives another result."""
    y = rows() * 1e-3
    right = plain.add_ple_backward(layer, y, rows(S))
    layer.eps = 1e-5
    with pytest.raises(AssertionError):
        assert_same([fused.add_ple_backward(layer, y, rows(S))], [right])


def test_the_obstacle_to_compiling_is_named(monkeypatch):
    assert "bfloat16" in fused.obstacle(torch.float32)
    monkeypatch.setenv("PATH", "")
    assert "C compiler" in fused.obstacle(torch.bfloat16)
