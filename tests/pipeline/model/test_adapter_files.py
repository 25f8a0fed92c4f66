import pytest
import torch
from made_up import tiny_config
from peft import PeftModel
from safetensors.torch import load_file
from tiny_step import by_step, examples, furthest
from transformers import AutoModelForCausalLM
from transformers.models.gemma3n import Gemma3nConfig, Gemma3nForConditionalGeneration

from paperlora.errors import DataError
from paperlora.files import read_json
from paperlora.pipeline.model import adapter, adapter_files, load, store, tiny
from paperlora.pipeline.model.gemma3n import plain
from paperlora.pipeline.train import checkpoint

CPU = torch.device("cpu")
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


def test_an_adapter_of_the_text_half_fits_the_model_that_transformers_loads(whole, tmp_path):
    loaded, wrapped = tuned(whole)
    assert load.is_half(loaded)
    adapter_files.save(tmp_path / "adapter", wrapped, whole=True)
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
    adapter_files.save(tmp_path / "adapter", wrapped, whole=True)
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
    adapter_files.save(tmp_path / "adapter", wrapped, whole=load.is_half(loaded))
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
        found = adapter_files.load(again.model, tmp_path / "adapter").eval()
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
    _, wrapped = tuned(whole)
    adapter_files.save(tmp_path / "adapter", wrapped, whole=True)
    settings = tmp_path / "adapter" / "adapter_config.json"
    settings.write_text(settings.read_text().replace("layers.0.", "layers.9."))
    files = store.ModelFiles(id="whole", directory=whole, revision="", licence="")
    again = load.load(files, tiny_config().model, CPU)
    with pytest.raises(DataError, match="does not fit"):
        adapter_files.load(again.model, tmp_path / "adapter")
