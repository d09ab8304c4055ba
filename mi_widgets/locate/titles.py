"""Titles: what the cells of a map are called, so that maps of two parts of a model can be told apart."""

NOUNS = {
    ("embedding", "out"): "Token embeddings",
    ("residual", "pre"): "Residual stream before each block",
    ("residual", "mid"): "Residual stream between attention and FFN",
    ("residual", "post"): "Residual stream after each block",
    ("head", "z"): "Heads",
    ("head", "q"): "Queries",
    ("head", "k"): "Keys",
    ("head", "v"): "Values",
    ("head", "pattern"): "Attention patterns",
    ("ffn", "out"): "FFN outputs",
    ("neuron", "pre"): "Neurons before their activation function",
    ("neuron", "post"): "Neurons",
    ("feature", "post"): "Features of the residual stream after each block",
    ("feature", "pre"): "Features of the residual stream before each block",
    ("feature", "ffn"): "Features of FFN outputs",
}
"""By kind and part of a Site."""


__all__ = ["NOUNS"]
