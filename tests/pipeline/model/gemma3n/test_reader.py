import json
import shutil

import bitsandbytes
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from paperlora.errors import DataError
from paperlora.pipeline.model import store, tiny
from paperlora.pipeline.model.gemma3n import reader

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "model"
    shutil.copytree(store.obtain("tiny-gemma-3n").directory, made)
    return made


def change(folder, edit):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)


def test_every_weight_is_that_of_the_checkpoint_up_to_its_four_bits(folder):
    ours = reader.read(folder, device=CPU, dtype=torch.float32)
    whole = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    packed = 0
    for name, expected in whole.named_parameters():
        if reader.WHOLE[0] in name or "embed_tokens_per_layer" in name:
            continue
        found = ours.get_parameter(name)
        if isinstance(found, bitsandbytes.nn.Params4bit):
            packed += 1
            assert found.quant_state.nested
            codes, state = bitsandbytes.functional.quantize_4bit(
                expected.data, quant_type="nf4", compress_statistics=True
            )
            assert torch.equal(found.data, codes), name
            assert torch.equal(found.quant_state.absmax, state.absmax), name
        else:
            assert torch.equal(found, expected), name
    assert packed > 20
    assert ours.lm_head.weight is ours.model.embed_tokens.weight
    coefficients = ours.get_parameter("model.layers.0.altup.prediction_coefs.weight")
    assert (
        coefficients.dtype == torch.float32
    )  # AltUp clamps them, which packed data does not allow


def test_the_table_stays_in_its_file(folder):
    ours = reader.read(folder, device=CPU, dtype=torch.float32)
    embedding = ours.model.embed_tokens_per_layer
    assert isinstance(embedding, reader.HostEmbedding)
    assert not list(embedding.parameters())
    assert embedding.table[0].dtype == torch.bfloat16  # as in the file, not converted
    ids = torch.tensor([[3, 9], [9, 200]])
    table = load_file(folder / "model.safetensors")["model.embed_tokens_per_layer.weight"].float()
    expected = table[ids] * 4  # the square root of its width of 16
    assert torch.equal(embedding(ids), expected)
    out = torch.empty(4, expected.shape[-1])
    embedding.look_up(ids.flatten(), out)
    assert torch.equal(out, expected.flatten(0, 1))


def test_a_missing_weight_and_a_wrong_shape_are_named(folder):
    change(folder, lambda tensors: tensors.pop("model.layers.1.mlp.up_proj.weight"))
    with pytest.raises(DataError, match=r"layers\.1\.mlp\.up_proj"):
        reader.read(folder, device=CPU, dtype=torch.float32)
    tiny.save(folder, seed=0)
    change(folder, lambda tensors: tensors.update({"model.norm.weight": torch.ones(3)}))
    with pytest.raises(DataError, match=r"model\.norm\.weight has the shape \[3\]"):
        reader.read(folder, device=CPU, dtype=torch.float32)


def test_a_missing_shard_and_a_missing_table_are_named(folder):
    change(folder, lambda tensors: tensors.pop("model.embed_tokens_per_layer.weight"))
    with pytest.raises(DataError, match="embed_tokens_per_layer"):
        reader.read(folder, device=CPU, dtype=torch.float32)
    index = {"weight_map": {"model.norm.weight": "model-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match=r"model-00002\.safetensors is missing"):
        reader.read(folder, device=CPU, dtype=torch.float32)
