"""Published checkpoints in the layout of Hugging Face: found, pinned, never executed.

Weights are read from safetensors alone; no code of a checkpoint is run. transformers is the
optional extra ``checkpoints``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from medgraft.errors import ConfigError

PATTERNS = ("config.json", "*.safetensors", "*.safetensors.index.json", "*vocab*", "*token*")
COMMIT = re.compile(r"[0-9a-f]{40}")
# What a configuration says about files, code and heads, which the encoder does not need.
UNUSED = {
    *("architectures", "auto_map", "id2label", "label2id", "dtype", "torch_dtype"),
    *("_name_or_path", "transformers_version"),
}
# How the vocabularies in use call the start, the end, and a letter they do not know.
START = ("[CLS]", "<cls>", "<s>")
END = ("[SEP]", "<eos>", "</s>")
UNKNOWN = ("[UNK]", "<unk>", "N", "X")


@dataclass(frozen=True)
class Words:
    """Positions in a vocabulary: of every letter, of what stands around them (None: nothing)."""

    letters: tuple[int, ...]
    start: int | None
    end: int | None
    unknown: int | None


def find(checkpoint: str, revision: str | None) -> Path:
    """The folder of a checkpoint: the one named, or the hub's, fetched at a pinned commit.

    Raises:
        ConfigError: there is no such folder, a hub id has no commit to pin it to, the weights are
            pickled, or the hub cannot be reached.
    """
    folder = Path(checkpoint).expanduser()
    if not folder.is_dir():
        folder = _download(checkpoint, revision)
    if not (folder / "config.json").is_file():
        raise ConfigError(f"{folder}: not a checkpoint: holds no config.json")
    if not weight_files(folder):
        pickled = sorted(path.name for path in folder.glob("*.bin"))
        held = f"; {pickled[0]} is a pickle, which can run code when read" if pickled else ""
        raise ConfigError(f"{folder}: holds no *.safetensors{held}")
    return folder


def _download(checkpoint: str, revision: str | None) -> Path:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", checkpoint):
        raise ConfigError(f"{checkpoint}: there is no such folder, and it is no hub id owner/name")
    if revision is None or not COMMIT.fullmatch(revision):
        raise ConfigError(
            f"{checkpoint}: a hub id needs the revision it is pinned to, a commit of 40 "
            f"hexadecimal digits, got {revision!r}: what a name or a branch stands for changes"
        )
    _transformers(checkpoint)
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(checkpoint, revision=revision, allow_patterns=list(PATTERNS))
    except Exception as error:  # the hub's client has dozens of its own
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ConfigError(f"{checkpoint}: could not be fetched ({reason})") from None
    return Path(found)


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights, in order of name."""
    return sorted(folder.glob("*.safetensors"))


def digest(folder: Path) -> str:
    """sha256 over the weights' files, hexadecimal."""
    total = hashlib.sha256()
    for path in weight_files(folder):
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def configuration(folder: Path) -> dict[str, Any]:
    """What shapes the network, from the checkpoint's config.json."""
    settings = _json(folder / "config.json")
    if "model_type" not in settings:
        raise ConfigError(f"{folder / 'config.json'}: has no model_type")
    return {name: value for name, value in settings.items() if name not in UNUSED}


def words(folder: Path, letters: Sequence[str]) -> Words:
    """Where ``letters`` stand in the checkpoint's vocabulary.

    Raises:
        ConfigError: there is no vocabulary, or it knows words but not each letter.
    """
    known = _vocabulary(folder)
    absent = [letter for letter in letters if letter not in known]
    if absent:
        raise ConfigError(
            f"{folder}: its vocabulary of {len(known)} words has no {absent[0]!r}; only "
            "checkpoints that read letter by letter can be used"
        )
    start, end, unknown = (
        next((known[name] for name in names if name in known), None)
        for names in (START, END, UNKNOWN)
    )
    return Words(tuple(known[letter] for letter in letters), start, end, unknown)


def _vocabulary(folder: Path) -> dict[str, int]:
    tokenizer, plain, lines = (folder / n for n in ("tokenizer.json", "vocab.json", "vocab.txt"))
    if tokenizer.is_file():
        found = _json(tokenizer)
        vocabulary = found.get("model", {}).get("vocab", {})
        pairs = vocabulary.items() if isinstance(vocabulary, dict) else ()
        added = ((token["content"], token["id"]) for token in found.get("added_tokens", ()))
        return {str(word): int(index) for word, index in (*pairs, *added)}
    if plain.is_file():
        return {str(word): int(index) for word, index in _json(plain).items()}
    if lines.is_file():
        texts = lines.read_text(encoding="utf-8").splitlines()
        return {word: index for index, word in enumerate(texts)}
    raise ConfigError(f"{folder}: holds no tokenizer.json, vocab.json or vocab.txt")


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON ({error})") from None
    return found


def fresh(settings: dict[str, Any]) -> nn.Module:
    """A network of this shape with random weights; attention in plain torch, as `vmap` needs."""
    transformers = _transformers("encoder")
    rest = {name: value for name, value in settings.items() if name != "model_type"}
    try:
        config = transformers.AutoConfig.for_model(settings["model_type"], **rest)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"model_type {settings['model_type']!r}: {reason}") from None
    model: nn.Module = transformers.AutoModel.from_config(config, attn_implementation="eager")
    return model.float()


def trained(folder: Path) -> nn.Module:
    """The network with the checkpoint's weights."""
    transformers = _transformers(str(folder))
    with _quiet(transformers):
        model, report = transformers.AutoModel.from_pretrained(  # nosec B615
            folder,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            attn_implementation="eager",
            output_loading_info=True,
        )
    lost = sorted(name for name in report["missing_keys"] if "pooler" not in name)
    if lost:
        raise ConfigError(f"{folder}: its weights lack {lost[0]} and {len(lost) - 1} more")
    found: nn.Module = model.float()
    return found


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without the report of unused weights and the bar of progress; what is missing, we say."""
    logging = transformers.utils.logging
    before, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bar:
            logging.enable_progress_bar()


def _transformers(asked: str) -> Any:
    try:
        import transformers
    except ImportError:
        raise ConfigError(
            f"{asked}: published checkpoints need transformers: pip install 'medgraft[checkpoints]'"
        ) from None
    return transformers
