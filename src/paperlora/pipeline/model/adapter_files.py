"""An adapter on disk: peft's layout, the same bytes for the same adapter, and names that stock code knows.

Gemma 3n's text half is trained without its towers, as ``Gemma3nForCausalLM``. Whoever loads the same
checkpoint with ``AutoModelForCausalLM`` gets the whole model, in which the layers have a longer name: the
files carry that one, so that an adapter fits what people load it into.
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
    """Write the adapter to ``folder``, whole or not at all.

    ``whole`` says that ``tuned`` is the text half of a checkpoint that has towers too.
    """
    part = folder.with_name(".adapter.part")
    shutil.rmtree(part, ignore_errors=True)
    # Not "auto", which asks the hub about the vocabulary.
    tuned.save_pretrained(part, save_embedding_layers=False)
    path = part / "adapter_model.safetensors"
    tensors = load_file(path)
    if whole:
        tensors = {name.replace(_ALONE, _WHOLE): value for name, value in tensors.items()}
        save_file(tensors, path, metadata={"format": "pt"})
    settings = read_json(part / "adapter_config.json")
    # peft shortens the names to what is unique in this model, `q_proj` say, which towers have too; and
    # keeps them in a set, whose order changes from process to process.
    settings["target_modules"] = sorted(
        name.removeprefix(_WRAPPED).removesuffix(_A) for name in tensors if name.endswith(_A)
    )
    write_json(part / "adapter_config.json", settings)
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)


def load(base: Any, folder: Path) -> Any:  # noqa: ANN401
    """Wrap ``base`` in the adapter of ``folder``, frozen, whichever of the two names its layers have.

    Raises ``DataError`` when the adapter has other layers than ``base``.
    """
    text_alone = any(name.startswith(_ALONE) for name, _ in base.named_modules())

    def named(name: str) -> str:
        return name.replace(_WHOLE, _ALONE) if text_alone else name

    settings = LoraConfig.from_pretrained(folder)
    settings.inference_mode = True
    settings.base_model_name_or_path = None  # peft would warn that a folder is not a name
    settings.target_modules = [named(name) for name in settings.target_modules]
    tensors = load_file(folder / "adapter_model.safetensors")
    try:
        tuned = get_peft_model(base, settings)
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
