"""LoRA fine-tuning on your own papers, in an environment that stays reproducible."""

__version__ = "0.1.0"
