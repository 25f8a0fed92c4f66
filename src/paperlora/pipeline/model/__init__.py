"""The model: a name or a folder goes in, a frozen 4-bit base model with a LoRA adapter comes out.

``store`` finds the files, ``sources`` fetches or makes them (``dequantise``, ``tiny``); ``load`` loads them;
``adapter`` adds the adapter, saves it and loads it; ``encoding`` has the token ids and the loss; ``gemma3n``
is a faster Gemma 3n. Training and evaluation use it.
"""
