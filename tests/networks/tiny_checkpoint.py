"""Checkpoints of a few thousand random weights, as transformers itself writes them."""

from pathlib import Path

LETTERS = "ACGT"
VOCABULARY = ["<pad>", "<mask>", "<cls>", "<eos>", "<unk>", "T", "G", "C", "A"]
SHAPES = {
    "bert": {},
    "esm": {"position_embedding_type": "rotary", "mask_token_id": 1, "token_dropout": True},
    "roberta": {},
    "distilbert": {"n_layers": 2, "n_heads": 4, "dim": 16, "hidden_dim": 32},
}

VISION = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4}
VISION |= {"intermediate_size": 32, "image_size": 24, "patch_size": 8}
SEEING = {
    "vit": VISION,
    "dinov2": VISION | {"mlp_ratio": 2},
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
    "convnext": {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2},
    "swin": {"embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 3},
}


def write(folder: Path, kind: str = "esm", **options) -> Path:
    """Save a tiny checkpoint with a vocabulary of single letters."""
    import torch
    from transformers import AutoConfig, AutoModelForMaskedLM

    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4}
    shape |= {"intermediate_size": 32, "max_position_embeddings": 64, "pad_token_id": 0}
    shape = SHAPES[kind] | {"pad_token_id": 0} if kind == "distilbert" else shape | SHAPES[kind]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = AutoConfig.for_model(kind, vocab_size=len(VOCABULARY), **shape | options)
        model = AutoModelForMaskedLM.from_config(config)
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    return folder


def write_seeing(folder: Path, kind: str = "vit", **options) -> Path:
    """Save a tiny checkpoint of an image classifier, with running statistics of its own."""
    import torch
    from transformers import AutoConfig, AutoModelForImageClassification

    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = AutoConfig.for_model(kind, **SEEING[kind] | options)
        model = AutoModelForImageClassification.from_config(config).train()
        model(torch.randn(8, config.num_channels, 24, 24))
    model.save_pretrained(folder)
    return folder
