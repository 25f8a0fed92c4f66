"""Saves and loads an adapter, in peft's layout: the same adapter always gives the same bytes.

Training uses Gemma 3n's text half without its towers (``Gemma3nForCausalLM``). ``AutoModelForCausalLM``
loads the whole model from the same checkpoint, and there the layers have a longer name. The files hold
the longer name, so that an adapter fits the model that other programs load.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file, save_file

from paperlora.errors import DataError
from paperlora.files import read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path

_ALONE, _WHOLE = "model.layers.", "model.language_model.layers."
_WRAPPED, _A = "base_model.model.", ".lora_A.weight"  # how peft names a module's tensor


def save(folder: Path, tuned: Any, *, whole: bool) -> None:  # noqa: ANN401 - peft carries no types
    """Write the adapter of ``tuned`` to ``folder``, completely or not at all.

    ``whole``: write the layer names of the whole model, because ``tuned`` is its text half.
    """
    part = folder.with_name(".adapter.part")
    shutil.rmtree(part, ignore_errors=True)
    # The default, "auto", asks the model hub for the size of the vocabulary.
    tuned.save_pretrained(part, save_embedding_layers=False)
    path = part / "adapter_model.safetensors"
    tensors = load_file(path)
    if whole:
        tensors = {name.replace(_ALONE, _WHOLE): value for name, value in tensors.items()}
        save_file(tensors, path, metadata={"format": "pt"})
    config = read_json(part / "adapter_config.json")
    # peft shortens the names to what is unique in this model, such as `q_proj`, which the towers also
    # have. It also keeps them in a set, whose order changes from process to process.
    config["target_modules"] = sorted(
        name.removeprefix(_WRAPPED).removesuffix(_A) for name in tensors if name.endswith(_A)
    )
    write_json(part / "adapter_config.json", config)
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)


def load(base: Any, folder: Path) -> Any:  # noqa: ANN401
    """Return ``base`` wrapped in the adapter of ``folder``, frozen; its layers may have either name.

    Raises ``DataError`` when the layers of the adapter are not those of ``base``.
    """
    text_alone = any(name.startswith(_ALONE) for name, _ in base.named_modules())

    def named(name: str) -> str:
        return name.replace(_WHOLE, _ALONE) if text_alone else name

    config = LoraConfig.from_pretrained(folder)
    config.inference_mode = True
    config.base_model_name_or_path = None  # peft warns when it is not the name of the loaded model
    config.target_modules = [named(name) for name in config.target_modules]
    tensors = load_file(folder / "adapter_model.safetensors")
    try:
        tuned = get_peft_model(base, config)
        found = set_peft_model_state_dict(tuned, {named(n): value for n, value in tensors.items()})
    except (RuntimeError, ValueError) as error:
        raise DataError(
            f"{folder} does not fit the model: {str(error).splitlines()[0]}",
            remedy="run `train` again",
        ) from None
    lost = [*found.unexpected_keys, *(name for name in found.missing_keys if "lora_" in name)]
    if lost:
        raise DataError(f"{folder} does not fit the model at {lost[0]}", remedy="run `train` again")
    return tuned
