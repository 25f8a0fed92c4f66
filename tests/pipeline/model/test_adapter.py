import pytest
import torch
from made_up import tiny_config
from peft import PeftModel
from safetensors.torch import load_file
from tiny_step import CPU, adapted, assert_same, by_step, examples, furthest, gradients
from transformers import AutoModelForCausalLM
from transformers.models.gemma3n import Gemma3nConfig, Gemma3nForConditionalGeneration

from paperlora.errors import DataError, InputError
from paperlora.files import read_json
from paperlora.pipeline.model import adapter, load, store, tiny
from paperlora.pipeline.model.gemma3n import plain
from paperlora.pipeline.train import checkpoint

IDS = torch.arange(5, 60)[None]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A checkpoint with towers, as on the hub, but so small that it is made in a second."""
    folder = tmp_path_factory.mktemp("whole")
    config = Gemma3nConfig(
        text_config=tiny.configuration().to_dict(),
        vision_config={"architecture": "resnet18", "hidden_size": 512, "vocab_size": 4, "vocab_offset": 253},
        audio_config={
            "hidden_size": 16, "conf_num_hidden_layers": 1, "conf_num_attention_heads": 2,
            "vocab_size": 4, "vocab_offset": 257, "input_feat_size": 16,
        },
    )  # fmt: skip
    torch.manual_seed(0)
    Gemma3nForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


def tuned(folder, *overrides):
    config = tiny_config(*overrides)
    files = store.ModelFiles(id="whole", directory=folder, revision="", licence="")
    loaded = load.load(files, config.model, CPU)
    torch.manual_seed(0)
    wrapped = adapter.add_adapter(loaded, config.adapter, config.train)
    for parameter in checkpoint.trainable(wrapped).values():
        torch.nn.init.normal_(parameter, std=0.02)
    return loaded, wrapped.eval()


def logits(wrapped):
    with torch.no_grad():
        return wrapped(input_ids=IDS).logits


def test_only_the_adapter_trains_and_every_part_of_it_gets_a_gradient():
    _, tuned = adapted()
    assert all("lora_" in name for name in checkpoint.trainable(tuned))
    loss, found = gradients(tuned)
    assert loss > 0
    assert [name for name, gradient in found.items() if not gradient.abs().sum() > 0] == []


def test_layers_that_share_keys_and_values_get_no_adapter_on_them():
    _, tuned = adapted()
    names = " ".join(checkpoint.trainable(tuned))
    for layer, expected in [(0, True), (1, True), (2, False), (3, False)]:
        assert (f"layers.{layer}.self_attn.k_proj" in names) is expected
        assert (f"layers.{layer}.self_attn.v_proj" in names) is expected
        assert f"layers.{layer}.self_attn.q_proj" in names


def test_checkpointing_changes_neither_loss_nor_gradient():
    """Fails with a transformers that turns the sharing of keys and values off in training."""
    _, usual = adapted()
    _, saving = adapted("train.gradient_checkpointing=true")
    assert saving.is_gradient_checkpointing
    assert not usual.is_gradient_checkpointing
    assert_same(gradients(usual), gradients(saving))


def test_the_adapter_table_adds_up():
    _, tuned = adapted()
    rows = adapter.adapter_modules(tuned, tiny_config().adapter)
    assert sum(row["parameters"] for row in rows) == sum(
        p.numel() for p in checkpoint.trainable(tuned).values()
    )
    query = next(row for row in rows if row["name"] == "q_proj")
    assert (query["in"], query["out"], query["layers"]) == (64, 64, 4)
    assert query["parameters"] == 4 * 8 * (64 + 64)
    assert next(row for row in rows if row["name"] == "k_proj")["layers"] == 2


def test_an_unknown_projection_is_named():
    with pytest.raises(InputError, match="no projection z_proj"):
        adapted('adapter.mlp=["up_proj", "z_proj"]')


def test_an_adapter_of_the_text_half_fits_the_model_that_transformers_loads(whole, tmp_path):
    loaded, wrapped = tuned(whole)
    adapter.save_adapter(wrapped, loaded, tmp_path / "adapter")
    stock = AutoModelForCausalLM.from_pretrained(whole, dtype=torch.float32)
    assert isinstance(stock, Gemma3nForConditionalGeneration)
    before = logits(stock)
    stock = PeftModel.from_pretrained(stock, tmp_path / "adapter").eval()
    after = logits(stock)
    assert not torch.allclose(before, after, atol=1e-3)  # the adapter does something
    # Our base has 4-bit weights and this one has not, so the adapters are compared, not the logits.
    with torch.no_grad():
        for name, module in loaded.model.named_modules():
            if hasattr(module, "lora_A"):
                other = stock.get_submodule(
                    "base_model.model."
                    + name.replace("model.layers", "model.language_model.layers")
                )
                for part in ("lora_A", "lora_B"):
                    mine = getattr(module, part)["default"].weight
                    assert torch.equal(mine, getattr(other, part)["default"].weight), name


def test_transformers_gives_the_same_logits_on_the_same_weights(whole, tmp_path):
    loaded, wrapped = tuned(whole)
    adapter.save_adapter(wrapped, loaded, tmp_path / "adapter")
    expected = logits(wrapped)
    stock = AutoModelForCausalLM.from_pretrained(whole, dtype=torch.float32)
    from bitsandbytes.functional import dequantize_4bit

    with torch.no_grad():
        for name, parameter in loaded.model.named_parameters():
            if getattr(parameter, "quant_state", None) is not None:
                plain = name.replace("base_layer.", "").replace(
                    "model.", "model.language_model.", 1
                )
                stock.get_parameter(plain).copy_(
                    dequantize_4bit(parameter.data, parameter.quant_state)
                )
    stock = PeftModel.from_pretrained(stock, tmp_path / "adapter").eval()
    assert torch.allclose(logits(stock), expected, atol=1e-4)


@pytest.mark.parametrize("multimodal", ["true", "false"])
def test_a_saved_adapter_is_loaded_with_or_without_towers(whole, tmp_path, multimodal):
    loaded, wrapped = tuned(whole, f"model.multimodal={multimodal}")
    adapter.save_adapter(wrapped, loaded, tmp_path / "adapter")
    names = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert all("language_model.layers" in name for name in names)
    modules = read_json(tmp_path / "adapter" / "adapter_config.json")["target_modules"]
    assert modules == sorted(modules)
    expected = logits(wrapped)
    files = store.ModelFiles(id="whole", directory=whole, revision="", licence="")
    for towers in ("false", "true"):
        again = load.load(files, tiny_config(f"model.multimodal={towers}").model, CPU)
        tower = [n for n, _ in again.model.named_modules() if "vision_tower" in n]
        assert bool(tower) is (towers == "true")
        found = adapter.load_adapter(again, tmp_path / "adapter")
        assert torch.allclose(logits(found), expected, atol=1e-5)


def test_the_step_trains_a_model_with_its_towers_as_it_trains_the_text_half(whole):
    found = {}
    for towers in ("false", "true"):
        _, wrapped = tuned(whole, f"model.multimodal={towers}")
        found[towers] = by_step(wrapped, examples((40, 20), (30, 9)), ops=plain, longest=128)
    assert found["true"][0] == pytest.approx(found["false"][0], rel=1e-6)
    alone = {
        n.replace("model.layers", "model.language_model.layers"): g
        for n, g in found["false"][1].items()
    }
    assert furthest(found["true"][1], alone) < 1e-4


def test_an_adapter_with_other_layers_is_refused(whole, tmp_path):
    loaded, wrapped = tuned(whole)
    adapter.save_adapter(wrapped, loaded, tmp_path / "adapter")
    settings = tmp_path / "adapter" / "adapter_config.json"
    settings.write_text(settings.read_text().replace("layers.0.", "layers.9."))
    files = store.ModelFiles(id="whole", directory=whole, revision="", licence="")
    again = load.load(files, tiny_config().model, CPU)
    with pytest.raises(DataError, match="does not fit"):
        adapter.load_adapter(again, tmp_path / "adapter")
