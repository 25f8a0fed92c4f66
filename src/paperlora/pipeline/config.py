"""A run's configuration: TOML in, frozen dataclasses out; unknown keys are refused with a suggestion."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from paperlora.errors import InputError
from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

SHORTEST = 32  # tokens: room for the turns' marks, a word of the prompt and one of the answer
CONFIGS = Path(__file__).with_name("configs")
SHIPPED_PAPERS = ROOT / "src" / "paperlora" / "papers"


CHOICES = {
    "step": ("auto", "fused", "plain", "stock"),
    "activations": ("auto", "keep", "recompute", "offload"),
    "embeddings": ("auto", "host", "gpu"),
    "optimizer": ("auto", "adamw", "adamw8bit"),
}
"""What the keys of ``[memory]`` may be."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which model, and how its frozen weights are held."""

    id: str
    """A name in ``lockfiles/models.json``, or a directory in Hugging Face layout."""
    compute_dtype: str = "auto"
    """``auto`` (bfloat16 where the GPU has it natively, float32 elsewhere), or a torch dtype."""
    max_length: int = 512
    """Tokens in one training example, prompt and answer together; longer prompts lose their start."""
    multimodal: bool = False
    """Whether to load Gemma 3n's towers for pictures and sound too, in 4 bits."""


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """Where the papers are and how long one of them may take."""

    papers: str = "shipped"
    """``shipped`` or a folder of PDFs."""
    timeout_seconds: int = 60
    memory_mib: int = 2048


@dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """How papers become examples and splits."""

    seed: int = 0
    validation_share: float = 0.15
    test_share: float = 0.2
    passage_words: int = 70
    answer_words: int = 45
    duplicate_overlap: float = 0.5
    """Share of common five-word runs above which a training example is a near-duplicate."""


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """The LoRA adapter (Hu et al. 2021): W + (alpha / rank) B A on each named projection."""

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.05
    attention: list[str] = field(default_factory=lambda: ["q_proj", "k_proj", "v_proj", "o_proj"])
    mlp: list[str] = field(default_factory=lambda: ["gate_proj", "up_proj", "down_proj"])


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The optimiser's regime: batch 1, gradients accumulated, early stopping."""

    seed: int = 0
    max_steps: int = 40
    accumulation: int = 4
    learning_rate: float = 3e-4
    warmup_steps: int = 4
    weight_decay: float = 0.0
    max_gradient_norm: float = 1.0
    validate_every: int = 5
    validation_examples: int = 12
    patience: int = 3
    """Validations without improvement before training stops."""
    gradient_checkpointing: bool = False


@dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """What a training step holds, and how it is computed; each ``auto`` goes by the GPU's free memory.

    All but ``optimizer`` and ``loss_chunk`` speak of Gemma 3n, which has a step of its own.
    """

    step: str = "auto"
    """``fused`` (Triton kernels, needs a GPU and a C compiler), ``plain`` or ``stock`` (transformers and
    peft alone); ``auto`` takes the first that can be had. Adapter dropout asks for ``stock``."""
    activations: str = "auto"
    """``keep`` everything, ``recompute`` each layer, or ``offload`` the layers' inputs to the host too."""
    embeddings: str = "auto"
    """Where the table of per-layer embeddings is: ``gpu`` or ``host``."""
    capture: bool = True
    """Whether the step becomes a CUDA graph."""
    loss_chunk: int = 256
    """Tokens whose logits exist at once."""
    optimizer: str = "auto"
    """``adamw`` or, on a GPU, ``adamw8bit``: a quarter of the moments' memory."""


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """What is scored: questions answered by greedy decoding, and perplexity over answers."""

    seed: int = 0
    questions: int = 24
    """Questions per split that are answered and scored."""
    passages: int = 8
    """Continuations per split that count for perplexity only."""
    max_new_tokens: int = 64
    batch: int = 24
    """Questions answered at once; a larger batch takes more memory and less time."""
    threshold: float = 0.5
    """Mixed score from which an answer counts as accurate."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that decides a run's results, stored with the run."""

    model: ModelConfig
    corpus: CorpusConfig = CorpusConfig()
    dataset: DatasetConfig = DatasetConfig()
    adapter: AdapterConfig = AdapterConfig()
    train: TrainConfig = TrainConfig()
    memory: MemoryConfig = MemoryConfig()
    eval: EvalConfig = EvalConfig()


@dataclass(frozen=True, kw_only=True)
class TrainSections:
    """The sections that training reads."""

    model: ModelConfig
    adapter: AdapterConfig
    train: TrainConfig
    memory: MemoryConfig


@dataclass(frozen=True, kw_only=True)
class EvalSections:
    """The sections that an evaluation reads."""

    model: ModelConfig
    eval: EvalConfig


@dataclass(frozen=True, kw_only=True)
class InferSections:
    """The sections that answering a question reads."""

    model: ModelConfig
    dataset: DatasetConfig


def shipped() -> list[str]:
    """Return the names of the configurations that ship."""
    return sorted(path.stem for path in CONFIGS.glob("*.toml"))


def load(name: str, overrides: Iterable[str] = ()) -> RunConfig:
    """Read a shipped configuration by name, or a TOML file by path, and apply ``section.key=value``.

    Raises ``InputError`` for a missing file, bad TOML, an unknown key or a value of the wrong type.
    """
    path = CONFIGS / f"{name}.toml" if name in shipped() else Path(name)
    if not path.is_file():
        close = _suggest(name, shipped())
        raise InputError(
            f"no configuration {name!r}{close}",
            remedy=f"name one of {', '.join(shipped())}, or a TOML file",
        )
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML: {error}", remedy="mend that line") from None
    for override in overrides:
        _override(table, override)
    config: RunConfig = _build(RunConfig, table, where="")
    _check(config)
    return config


def with_papers(config: RunConfig, folder: Path) -> RunConfig:
    """Return the configuration with ``folder`` as its papers."""
    return dataclasses.replace(
        config, corpus=dataclasses.replace(config.corpus, papers=str(folder))
    )


def as_dict(config: RunConfig) -> dict[str, Any]:
    """Return the configuration as plain tables."""
    return dataclasses.asdict(config)


def to_toml(config: RunConfig) -> str:
    """Write the configuration as TOML; ``load`` reads it back to an equal one."""
    sections = (
        f"[{section}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())
        for section, table in as_dict(config).items()
    )
    return "\n".join(sections)


def _toml(value: object) -> str:
    """Write a value as TOML: as JSON, but for the surrogates and the DEL that only JSON takes."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _override(table: dict[str, Any], override: str) -> None:
    """Apply one ``section.key=value``; a value that is not TOML is taken as a string."""
    name, separator, text = override.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (separator and dot and key):
        raise InputError(
            f"--set {override!r} is not section.key=value", remedy="e.g. --set train.max_steps=10"
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    if not isinstance(table.setdefault(section, {}), dict):
        raise InputError(f"{section} is {table[section]!r}", remedy=f"make it a table: [{section}]")
    table[section][key] = value


def _build(cls: Any, table: Any, *, where: str) -> Any:  # noqa: ANN401 - one walk over every section
    """Make the dataclass ``cls`` from ``table``, checking names and types."""
    if not isinstance(table, dict):
        raise InputError(f"{where} is {table!r}", remedy=f"make it a table: [{where}]")
    hints = get_type_hints(cls)
    for key in table:
        if key not in hints:
            kind = f"key {key!r} in [{where}]" if where else f"section [{key}]"
            raise InputError(
                f"unknown {kind}{_suggest(key, hints)}", remedy=f"known: {', '.join(hints)}"
            )
    values = {}
    for key, hint in hints.items():
        name = f"{where}.{key}" if where else key
        if key not in table:
            if not where or key != "id":
                continue
            raise InputError(f"{name} is missing", remedy="name a model in lockfiles/models.json")
        values[key] = (
            _build(hint, table[key], where=name)
            if dataclasses.is_dataclass(hint)
            else _typed(table[key], hint, name)
        )
    if not where and "model" not in values:
        raise InputError("section [model] is missing", remedy='add [model] with id = "…"')
    return cls(**values)


def _typed(value: object, hint: type, name: str) -> object:
    """Return ``value`` when it is of the hinted type; an int serves as a float."""
    if hint == list[str]:
        good = isinstance(value, list) and all(isinstance(item, str) for item in value)
    elif hint is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        good = number and math.isfinite(value)  # type: ignore[arg-type]
        value = float(value) if good else value  # type: ignore[arg-type]
    else:
        good = type(value) is hint
    if not good:
        wanted = getattr(hint, "__name__", str(hint))
        raise InputError(f"{name} is {value!r}", remedy=f"give a value of type {wanted}")
    return value


def _check(config: RunConfig) -> None:
    """Refuse values that can only fail later."""
    if config.model.max_length < SHORTEST:
        raise InputError(
            f"model.max_length is {config.model.max_length}", remedy=f"give at least {SHORTEST}"
        )
    if not 0 <= config.adapter.dropout < 1:
        raise InputError(f"adapter.dropout is {config.adapter.dropout}", remedy="give 0 to below 1")
    if config.eval.passages < 0:
        raise InputError(f"eval.passages is {config.eval.passages}", remedy="give 0 or more")
    _check_choices(config.memory)
    positive = {
        "memory.loss_chunk": config.memory.loss_chunk,
        "corpus.memory_mib": config.corpus.memory_mib,
        "corpus.timeout_seconds": config.corpus.timeout_seconds,
        "adapter.rank": config.adapter.rank,
        "train.max_steps": config.train.max_steps,
        "train.accumulation": config.train.accumulation,
        "train.validate_every": config.train.validate_every,
        "train.validation_examples": config.train.validation_examples,
        "train.patience": config.train.patience,
        "eval.questions": config.eval.questions,
        "eval.batch": config.eval.batch,
        "eval.max_new_tokens": config.eval.max_new_tokens,
    }
    for name, value in positive.items():
        if value < 1:
            raise InputError(f"{name} is {value}", remedy="give at least 1")
    if not config.adapter.attention + config.adapter.mlp:
        raise InputError("adapter names no projection", remedy="set adapter.attention or .mlp")
    for name, share in (
        ("dataset.validation_share", config.dataset.validation_share),
        ("dataset.test_share", config.dataset.test_share),
    ):
        if not 0 < share < 0.5:
            raise InputError(f"{name} is {share}", remedy="give a share between 0 and 0.5")


def _check_choices(memory: MemoryConfig) -> None:
    for key, known in CHOICES.items():
        chosen = getattr(memory, key)
        if chosen not in known:
            raise InputError(
                f"memory.{key} is {chosen!r}{_suggest(chosen, known)}",
                remedy=f"give {', '.join(known)}",
            )


def _suggest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
