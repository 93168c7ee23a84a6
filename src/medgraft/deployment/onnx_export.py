"""The champion as an ONNX file, checked before it is handed over."""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from medgraft.deployment.graph import Ensemble, ensemble
from medgraft.deployment.model import Model, load
from medgraft.deployment.writing import replacing
from medgraft.errors import MedgraftError
from medgraft.preparation.arrays import write_json
from medgraft.training import weights
from medgraft.training.replicas import State

INPUT, OUTPUT = "x", "answers"
ROWS = 257  # made up for the check: no multiple of what is traced
AGREES = 1e-4
MOST_BYTES = 2 * 10**9  # of an ONNX file, as of any protocol buffer
NEEDED = ("onnx", "onnxruntime", "onnxscript")
ANY_NUMBER = ({0: torch.export.Dim("n")},)
LETTERLESS = (254, 255)  # tokens of an unknown letter and of padding, as in `cohorts.alphabets`


@dataclass(frozen=True)
class Exported:
    """What was written: how many replicas, and how far its answers lie from torch's at most."""

    model: Path
    told: Path
    replicas: int
    difference: float

    def text(self) -> str:
        """One line for the terminal."""
        return (
            f"{self.model}: {self.replicas} models in one, within {self.difference:.1e} of torch "
            f"on {ROWS} made-up rows; {self.told.name} says what goes in and comes out"
        )


def export(champion: Path, target: Path) -> Exported:
    """Write the champion to `target`, and what goes in and comes out to `<target>.json`.

    Inputs are rows as `Records.read` makes them; preparation is part of the graph.

    Args:
        champion: folder written by `champion.export`.
        target: a name that ends in `.onnx`; whole or not at all, the same bytes every time.

    Raises:
        MedgraftError: this kind of model is not exported, ONNX is not installed, its answers differ
            from torch's, or a file cannot be written.
    """
    if target.suffix != ".onnx":
        raise MedgraftError(f"{target}: expected a name that ends in .onnx")
    if os.path.realpath(target.parent) == os.path.realpath(champion):
        raise MedgraftError(f"{target}: lies in the sealed champion; write it elsewhere")
    beside = target.with_name(f"{target.name}.json")
    for path in (target, beside):
        if path.is_dir():
            raise MedgraftError(f"{path}: is a folder, expected the name of a file")
    require()
    model = load(champion)
    state, description = weights.read(champion)
    if sum(value.nbytes for value in state.values()) > MOST_BYTES:
        raise MedgraftError(f"{champion}: more than 2 GB of weights, which no ONNX file can hold")
    x = made_up(model, state, description["schema"])
    whole = ensemble(state, description, x, model.correction)
    with replacing(target) as fresh:
        write(whole, x, fresh)
        difference = farthest(model, fresh, x)
        write_json(about(model, champion, description, fresh), beside)
    return Exported(target, beside, len(whole.replicas), difference)


def require() -> None:
    """Raise MedgraftError unless what writes and runs ONNX is installed."""
    from importlib.util import find_spec

    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise MedgraftError(f'ONNX needs {" and ".join(missing)}: pip install "medgraft[onnx]"')


def write(whole: Ensemble, x: NDArray[Any], path: Path) -> None:
    """Trace the module over some rows and write its graph, for any number of rows.

    Raises:
        MedgraftError: it cannot be traced, or uses an operation that ONNX lacks.
    """
    try:
        with quiet(), torch.no_grad():
            program = torch.onnx.export(
                traced(whole, torch.from_numpy(x[:3].copy())),
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=ANY_NUMBER,  # of a traced module: how the number of rows is called
            )
    except Exception as error:  # torch raises many kinds for what it cannot follow
        first = str(error).strip().partition("\n")[0]
        raise MedgraftError(f"the network cannot be written as ONNX: {first}") from None
    assert program is not None
    forget_traces(program.model)
    program.save(str(path), external_data=False)


def traced(whole: Ensemble, rows: torch.Tensor) -> torch.export.ExportedProgram:
    """The module's graph, which no number of rows is fixed in."""
    try:
        return torch.export.export(whole, (rows,), dynamic_shapes=ANY_NUMBER)
    except torch._dynamo.exc.UserError:
        # `len(tensor)` is a plain number unless Python itself is traced, which takes longer.
        return torch.export.export(whole, (rows,), dynamic_shapes=ANY_NUMBER, strict=True)


def forget_traces(model: Any) -> None:
    """Remove where in which files each operation came from: paths of this machine."""
    for part in (model, model.graph, *model.graph.all_nodes(), *model.functions.values()):
        part.metadata_props.clear()
    for node in model.graph.all_nodes():
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()


def farthest(model: Model, path: Path, x: NDArray[Any]) -> float:
    """How far answers of the file lie from the champion's at most; of values, relative to 1.

    Raises:
        MedgraftError: too far.
    """
    ask = session(path)
    worst = 0.0
    for rows in (x, x[:1]):
        expected = model.answers(rows)
        (got,) = ask.run([OUTPUT], {INPUT: rows})
        off = np.abs(got - expected) / np.maximum(1, np.abs(expected))
        if not (np.isfinite(off).all() and off.max() <= AGREES):
            raise MedgraftError(
                f"{path.name}: not written, as its answers lie {off.max():.1e} from torch's, more "
                f"than {AGREES:.0e}"
            )
        worst = max(worst, float(off.max()))
    return worst


def session(path: Path) -> Any:
    """The file, ready to be asked."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@contextmanager
def quiet() -> Iterator[None]:
    """Without what torch says on its way that nobody here can act on."""
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)


# Made-up rows


def made_up(model: Model, state: State, schema: Mapping[str, Any]) -> NDArray[Any]:
    """Rows `[ROWS, ...]` that could be patients and are none, as `Records.read` gives them."""
    example, _ = model.records.read(pl.DataFrame([model.records.example()]))
    draw = np.random.default_rng(0)
    if example.dtype != np.uint8:
        return numbers(state, schema["features"], draw)
    letters = schema["features"][0].get("letters")
    levels = [*range(len(letters)), *LETTERLESS] if letters else range(256)
    return draw.choice(np.array(levels, dtype=np.uint8), (ROWS, *example.shape[1:]))


def numbers(
    state: State, features: list[Mapping[str, Any]], draw: np.random.Generator
) -> NDArray[np.float32]:
    """Numbers about where the patients' were, any category, now and then a missing value."""
    x = np.empty((ROWS, len(features)), dtype=np.float32)
    for i, (feature, centre, spread) in enumerate(
        zip(features, *spans(state, features), strict=True)
    ):
        many = len(feature["categories"])
        x[:, i] = draw.integers(0, many, ROWS) if many else draw.normal(centre, spread, ROWS)
        if feature["may_be_missing"] or feature["origin"] != "shared":
            x[draw.random(ROWS) < 0.2, i] = np.nan
    return x


def spans(
    state: State, features: list[Mapping[str, Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and scale of each feature as the replicas' preparations know them; else 0 and 1."""
    found = []
    for ending, default in (("mean", 0.0), ("scale", 1.0)):
        span = np.full(len(features), default)
        for name, value in state.items():
            if name.startswith("input.") and name.endswith(ending) and value.ndim == 2:
                known = np.nanmean(np.where(torch.isfinite(value), value, default), axis=0)
                span[: len(known)] = known
        found.append(span)
    return found[0], found[1]


# What the file takes and gives


def about(
    model: Model, champion: Path, description: Mapping[str, Any], path: Path
) -> dict[str, Any]:
    """What the JSON says: names, order, units and missing values in; columns out."""
    ask, schema = session(path), description["schema"]
    (taken,), (given,) = ask.get_inputs(), ask.get_outputs()
    named = model.task.columns(np.zeros((1, model.task.width(model.outcome))), model.outcome)
    return {
        "file": {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
        "champion": {"sha256": hashlib.sha256((champion / "SHA256SUMS").read_bytes()).hexdigest()},
        "input": {
            "name": INPUT,
            "type": taken.type,
            "shape": taken.shape,
            "missing_codes": list(model.records.description.missing),
            "features": [told(model, feature) for feature in schema["features"]],
        },
        "output": {
            "name": OUTPUT,
            "type": given.type,
            "shape": given.shape,
            "columns": [column.name for column in named if column.dtype.is_float()],
            "outcome": dict(model.outcome),
            "means": "the replicas' mean, corrected: what `medgraft predict` answers",
            "plausible_up_to": model.reach,
            "not_included": "refusal of patients unlike all those learned from",
        },
    }


def told(model: Model, feature: Mapping[str, Any]) -> dict[str, Any]:
    """One feature: how the site writes it, how the file takes it."""
    column = model.records.columns.get(feature["name"])
    written = None if column is None else column.model_dump(mode="json", exclude_defaults=True)
    return {
        "name": feature["name"],
        **({"unit": feature["unit"]} if feature.get("unit") else {}),
        "takes": takes(feature),
        "missing": missing(feature, measured=column is not None),
        "described": written,
    }


def takes(feature: Mapping[str, Any]) -> str:
    """What a feature's numbers are."""
    if feature.get("letters"):
        letters = ", ".join(f"{i} = {letter}" for i, letter in enumerate(feature["letters"]))
        return f"tokens: {letters}; 254 = unknown letter, 255 = after the end"
    if feature["kind"] == "image":
        return "pixels, 0 to 255: [channels, height, width]"
    if feature["categories"]:
        return ", ".join(f"{i} = {label}" for i, label in enumerate(feature["categories"]))
    return "the number"


def missing(feature: Mapping[str, Any], *, measured: bool) -> str:
    """What stands for a missing value."""
    if not measured:
        return "NaN, always: not measured here"
    return "NaN" if feature["may_be_missing"] else "never: such a record has no answer"
