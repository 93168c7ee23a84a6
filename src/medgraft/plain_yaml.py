"""YAML that may come from a stranger: plain values, bounded, every key once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TextIO

import yaml

from medgraft.errors import ConfigError

MOST_NODES = 1_000_000


def read_yaml(path: Path, *, most: int = MOST_NODES) -> Any:
    """The plain values in a YAML file that may come from a stranger.

    Raises:
        ConfigError: there is none, it is not YAML, nested too deep, has one key twice, or its
            aliases stand for more than `most` values.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return _Bounded(file, most).get_single_data()
    except RecursionError:
        raise ConfigError(f"{path}: nested too deep") from None
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that is none
        raise ConfigError(f"{path}: not YAML: {str(error).splitlines()[0]}") from None


class _Bounded(yaml.SafeLoader):
    """No two equal keys, of which YAML silently keeps the last; no aliases that explode."""

    def __init__(self, file: TextIO, most: int) -> None:
        super().__init__(file)
        self.most = most

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None and _written_out(node, {}, self.most) > self.most:
            problem = f"its aliases (*) stand for more than {self.most} values"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        counts = Counter(key for key in keys if isinstance(key, Hashable))
        for (key_node, _), key in zip(node.value, keys, strict=True):
            if isinstance(key, Hashable) and counts[key] > 1:
                problem = f'"{key_node.value}" is written twice'
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key_node.start_mark)
        return super().construct_mapping(node, deep)


def _written_out(node: yaml.Node, known: dict[int, int], most: int) -> int:
    """How many values a node stands for once its aliases are written out; endless ones are many."""
    if id(node) not in known:
        known[id(node)] = most + 1  # what holds itself
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        flat = (
            part for entry in parts for part in (entry if isinstance(entry, tuple) else (entry,))
        )
        known[id(node)] = 1 + sum(_written_out(part, known, most) for part in flat)
    return known[id(node)]
