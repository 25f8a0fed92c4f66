import torch
from tiny_step import adapted

from paperlora.pipeline.model.gemma3n import plain, products, step


def test_the_extra_columns_hold_the_adapter():
    read = step.read(adapted()[1], ops=plain, activations="keep", chunk=64)
    group = read.layers[0].first
    torch.manual_seed(1)
    x = products.input_buffer(group, 5, read.head)
    x[:, : group.columns] = torch.randn(5, group.columns)
    together = products.forward(plain, group, x)
    at = 0
    for member in group.members:
        matrix = torch.empty(member.rows, member.columns)
        bare = type(member)(
            weight=member.weight, state=member.state, rows=member.rows, columns=member.columns
        )
        plain.expand(bare, matrix, 0)
        expected = x[:, : group.columns] @ matrix.T
        if member.adapter:
            low = x[:, : group.columns] @ member.adapter.a.T
            expected += member.adapter.scale * low @ member.adapter.b.T
        assert torch.allclose(together[:, at : at + member.rows], expected, atol=1e-4)
        at += member.rows
