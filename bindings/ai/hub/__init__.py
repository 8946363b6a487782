"""Weights from Hugging Face, or a mirror of it, kept in the cache where its own libraries look for them.

``huggingface_hub`` is not used for that: 2.4 begins a file that broke off anew (each attempt has a name of its own) and
compares sizes, not checksums; it also takes long to import, and would bring four more libraries to machines that run
llama.cpp alone. What it reads back offline is this layout, which its documentation describes.
"""
