import json
import subprocess
import sys

import pytest

from medgraft.errors import ConfigError
from medgraft.networks import checkpoints

from .tiny_checkpoint import VOCABULARY, write


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "esm", "torch_dtype": "float16"}')
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY))
    return tmp_path


def refusal(*arguments) -> str:
    with pytest.raises(ConfigError) as error:
        checkpoints.find(*arguments)
    return str(error.value)


def test_pickled_weights_are_refused(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert refusal(str(folder), None) == (
        f"{folder}: holds no *.safetensors; pytorch_model.bin is a pickle, which can run code when "
        "read"
    )


def test_hub_id_without_commit_is_refused():
    expected = (
        "facebook/esm2: a hub id needs the revision it is pinned to, a commit of 40 hexadecimal "
        "digits, got {}: what a name or a branch stands for changes"
    )
    assert refusal("facebook/esm2", None) == expected.format("None")
    assert refusal("facebook/esm2", "main") == expected.format("'main'")


def test_hub_is_asked_for_one_commit(folder, monkeypatch):
    """Only safetensors, settings and vocabulary are asked for, at the pinned commit."""
    hub = pytest.importorskip("huggingface_hub")
    asked = {}

    def download(name, **options):
        asked.update(options, name=name)
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", download)
    commit = "0123456789abcdef0123456789abcdef01234567"
    assert checkpoints.find("facebook/esm2", commit) == folder
    assert (asked["name"], asked["revision"]) == ("facebook/esm2", commit)
    assert not any(pattern.endswith((".bin", ".py")) for pattern in asked["allow_patterns"])


def test_other_names_are_no_checkpoint(tmp_path):
    path = str(tmp_path / "absent")
    assert refusal(path, None) == f"{path}: there is no such folder, and it is no hub id owner/name"
    assert refusal(str(tmp_path), None) == f"{tmp_path}: not a checkpoint: holds no config.json"


def test_letters_are_found_in_every_vocabulary(folder):
    expected = checkpoints.Words(letters=(8, 7, 6, 5), start=2, end=3, unknown=4)
    assert checkpoints.words(folder, "ACGT") == expected
    known = {word: index for index, word in enumerate(VOCABULARY)}
    (folder / "vocab.json").write_text(json.dumps(known))
    (folder / "vocab.txt").unlink()
    assert checkpoints.words(folder, "ACGT") == expected
    special = [{"content": w, "id": i} for w, i in known.items() if w.startswith("<")]
    plain = {word: index for word, index in known.items() if len(word) == 1}
    tokenizer = {"added_tokens": special, "model": {"vocab": plain}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert checkpoints.words(folder, "ACGT") == expected


def test_vocabulary_of_words_is_refused(folder):
    with pytest.raises(ConfigError) as error:
        checkpoints.words(folder, "ACGU")
    assert str(error.value) == (
        f"{folder}: its vocabulary of 9 words has no 'U'; only checkpoints that read letter by "
        "letter can be used"
    )


def test_hash_knows_the_weights(folder):
    before = checkpoints.digest(folder)
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert checkpoints.digest(folder) != before
    assert checkpoints.configuration(folder) == {"model_type": "esm"}


def test_absent_library_is_named(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(ConfigError) as error:
        checkpoints.trained(folder)
    assert str(error.value) == (
        f"{folder}: published checkpoints need transformers: pip install 'medgraft[checkpoints]'"
    )


LOAD = """
import sys
from pathlib import Path
from medgraft.networks.checkpoints import trained
trained(Path(sys.argv[1]))
"""


def test_weights_are_loaded_without_a_word(tmp_path):
    """Although a head is in the file that the encoder does not use: it never does."""
    pytest.importorskip("transformers")
    folder = write(tmp_path / "tiny", "bert")
    said = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder)], capture_output=True, text=True, check=True
    )
    assert (said.stdout, said.stderr) == ("", "")
