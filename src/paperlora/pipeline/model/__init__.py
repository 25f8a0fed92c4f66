"""The model: a name or a folder goes in, a frozen 4-bit base model with a LoRA adapter comes out.

``store`` finds the files, ``load`` loads them, ``adapter`` and ``adapter_files`` make and keep the
adapter, ``encoding`` has the loss; ``gemma3n`` is a faster Gemma 3n. Training and evaluation use it.
"""
