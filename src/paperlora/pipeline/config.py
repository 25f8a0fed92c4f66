"""What a user can set: the sections of a run's configuration, their keys, bounds and defaults.

The docstrings of the sections and keys are also the text of ``docs/configuration.md``. ``config_file``
reads a configuration and writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from paperlora.errors import InputError

SHORTEST = 32  # tokens: room for the marks of both turns, one word of prompt and one of answer

# TOML's integers and torch.manual_seed both end here.
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
# The upper bound is far beyond any use: it turns a slip of the finger into an error at once.
Count = Annotated[int, Field(ge=1, le=1_000_000)]
CountOrNone = Annotated[int, Field(ge=0, le=1_000_000)]
HeldOutShare = Annotated[float, Field(gt=0, lt=0.5)]
Text = Annotated[str, Field(pattern=r"^[^\x00]+$")]  # no path can hold a NUL
Names = list[Annotated[str, Field(pattern=r"^\w+$")]]


class Section(BaseModel):
    """Rules of every section: no unknown keys, no conversion (``"3"`` is not 3), no changes."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
    )


class ModelConfig(Section):
    """The base model, whose weights do not change, and how it is kept in memory."""

    id: Text
    """A name in ``lockfiles/models.json``, or a folder in Hugging Face layout."""
    compute_dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format of the arithmetic. ``auto`` is bfloat16 where the GPU computes in it, else
    float32."""
    max_length: Annotated[int, Field(ge=SHORTEST, le=1_000_000)] = 512
    """Tokens of one example, prompt and answer together. If the prompt is too long, its beginning is cut
    off."""
    multimodal: bool = False
    """Load the image and audio towers of Gemma 3n too, in 4 bits."""


class CorpusConfig(Section):
    """The papers, and the limits of reading one of them."""

    papers: Text = "shipped"
    """``shipped`` (the papers in this repository), or a folder of PDFs."""
    extractor: Literal["pdfium", "pypdf2"] = "pdfium"
    """How the text is read. ``pdfium`` reads by geometry: columns, headings, formulas. ``pypdf2`` is the
    recipe of the source paper: PyPDF2's text, page by page."""
    timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 60
    """Longest time in seconds for reading one paper."""
    memory_mib: Count = 2048
    """Memory in MiB that reading one paper may use. It also limits how many papers are read at once."""
    near_duplicates: Literal["report", "reject"] = "report"
    """What happens to a paper with nearly the same text as another one, for example a second version:
    ``report`` keeps it and says so, ``reject`` keeps only the first by file name."""


class DatasetConfig(Section):
    """How papers become examples and splits."""

    seed: Seed = 0
    """Decides which papers are held out, and which sentences become questions."""
    validation_share: HeldOutShare = 0.15
    """Share of the papers that are used for validation; at least one paper is."""
    test_share: HeldOutShare = 0.2
    """Share of the papers that are used for the test; at least one paper is."""
    passage_words: Annotated[int, Field(ge=16, le=100_000)] = 70
    """Words of one passage at most. A sentence is never cut: one that is longer is a passage alone."""
    answer_words: Annotated[int, Field(ge=8, le=100_000)] = 45
    """Words of one answer at most. Sentences of fewer than 8 words are never answers."""
    formulas: Literal["skip", "keep"] = "skip"
    """Sentences in which the paper displays a formula: ``skip`` never asks about them and never answers
    with them, ``keep`` treats ``[formula]`` as a word."""
    duplicate_overlap: Annotated[float, Field(ge=0, le=1)] = 0.5
    """An example is removed when more than this share of its five-word sequences is also in a held-out
    paper. 1 keeps every example."""


class AdapterConfig(Section):
    """The LoRA adapter (Hu et al. 2021): W + (alpha / rank) B A on each named projection."""

    rank: Annotated[int, Field(ge=1, le=4096)] = 8
    """Rank of the matrices A and B."""
    alpha: Annotated[int, Field(ge=1, le=65_536)] = 16
    """Scale of the adapter: its output is multiplied by alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the adapter's inputs that training sets to 0. 0 turns dropout off."""
    attention: Names = ["q_proj", "k_proj", "v_proj", "o_proj"]
    """Projections of the attention layers that get an adapter."""
    mlp: Names = ["gate_proj", "up_proj", "down_proj"]
    """Projections of the feed-forward layers that get an adapter."""

    @model_validator(mode="after")
    def _check_projections(self) -> Self:
        names = self.attention + self.mlp
        if not names:
            raise InputError(
                "adapter.attention and adapter.mlp are both empty",
                remedy="name at least one projection, e.g. q_proj",
            )
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(
                f"adapter names {', '.join(twice)} more than once", remedy="name each once"
            )
        return self


class TrainConfig(Section):
    """Optimisation: each step adds the gradients of several examples; training may stop early."""

    seed: Seed = 0
    """Decides the adapter's first values, the order of the examples and the dropout."""
    max_steps: Count = 40
    """Optimiser steps at most."""
    accumulation: Count = 4
    """Examples whose gradients are averaged for one optimiser step."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-4
    """Highest learning rate: reached after the warm-up, then lowered linearly towards 0."""
    warmup_steps: CountOrNone = 4
    """Steps in which the learning rate rises linearly. 0 turns the warm-up off."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """AdamW's weight decay. 0 turns it off."""
    max_gradient_norm: Annotated[float, Field(ge=0)] = 1.0
    """Gradients of a larger norm are scaled down to this norm. 0 turns clipping off."""
    validate_every: Count = 5
    """Steps between two validations. The last step is always followed by one."""
    validation_examples: Count = 12
    """Validation examples whose loss is measured, at most."""
    patience: Count = 3
    """Validations without improvement before training stops."""
    gradient_checkpointing: bool = False
    """Compute activations a second time instead of storing them: less memory, more time."""


class MemoryConfig(Section):
    """What a training step keeps in memory, and how it is computed.

    ``auto`` chooses by the free memory of the GPU, unless the key says something else. All keys except
    ``optimizer``
    are about Gemma 3n, which has a training step of its own.
    """

    step: Literal["auto", "fused", "plain", "stock"] = "auto"
    """``fused`` (Triton kernels: needs a GPU with bfloat16, a C compiler and Python's headers), ``plain``
    (the same in torch alone) or ``stock`` (transformers and peft). ``auto`` uses the first of the three
    that works on this machine. Adapter dropout needs ``stock``."""
    activations: Literal["auto", "keep", "recompute", "offload"] = "auto"
    """``keep`` keeps all activations. ``recompute`` keeps only the input of each layer. ``offload`` also
    moves these inputs to the memory of the host."""
    embeddings: Literal["auto", "host", "gpu"] = "auto"
    """Where the table of per-layer embeddings is: in the memory of the ``gpu`` or of the ``host``."""
    capture: bool = True
    """Record the step as a CUDA graph and replay it."""
    loss_chunk: Count = 256
    """The loss is computed for this many tokens at a time. Fewer need less memory."""
    optimizer: Literal["auto", "adamw", "adamw8bit"] = "auto"
    """``adamw``, or ``adamw8bit``, which needs a GPU and a quarter of the memory for the optimiser.
    ``auto`` is ``adamw8bit`` for Gemma 3n on a GPU, else ``adamw``."""


class EvalConfig(Section):
    """What is scored: greedy answers to questions, and the perplexity of reference answers."""

    seed: Seed = 0
    """Decides which examples are drawn."""
    questions: Count = 24
    """Questions of each split that are answered and scored, at most."""
    passages: CountOrNone = 8
    """Continuations of each split at most. They count for the perplexity only."""
    max_new_tokens: Annotated[int, Field(ge=1, le=32_768)] = 64
    """Tokens of one answer at most."""
    batch: Annotated[int, Field(ge=1, le=4096)] = 24
    """Questions answered at the same time. A larger batch needs more memory and less time."""
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Smallest score (the mean of relevance and overlap) of an accurate answer."""


class RunConfig(Section):
    """All settings that decide a run's results. They are stored with the run."""

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


def allowed(section: str, key: str) -> str:
    """Return the type and the bounds of a key, in words; numbers are written as TOML allows."""
    schema = schema_of(section)["properties"][key]
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    if schema["type"] not in {"integer", "number"}:
        return {
            "array": "a list of different names",
            "boolean": "true or false",
            "string": "text in UTF-8, not empty",
        }[schema["type"]]
    bounds = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    limits = [f"{words} {schema[name]:_}" for name, words in bounds.items() if name in schema]
    kind = "an integer" if schema["type"] == "integer" else "a number"
    return f"{kind}, {' and '.join(limits)}"


def schema_of(section: str) -> dict[str, Any]:
    """Return the JSON schema of a section: its description, and its properties by key."""
    schema: dict[str, Any] = RunConfig.model_json_schema()["$defs"][f"{section.title()}Config"]
    return schema
