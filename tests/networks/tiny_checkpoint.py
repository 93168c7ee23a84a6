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
