"""Registers a champion with MLflow, so that `models:/<name>@champion` answers raw records."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from medgraft.deployment.answers import ANSWERS, frame
from medgraft.deployment.records import EXAMPLE, Records, records_of
from medgraft.preparation.arrays import read_json
from medgraft.tasks import task as tasks

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

ALIAS = "champion"
KINDS: dict[Any, str] = {pl.String: "string", pl.Float64: "double"}
FOLDER = "model"  # among the run's artifacts
FINGERPRINT = "fingerprint"
# What the pages of the registry say; MLflow shows them as markdown.
USE = """Ask it about raw records, in columns as the site's files have them:

```python
import mlflow, pandas

mlflow.set_tracking_uri("sqlite:///mlflow/mlflow.db")  # or the address of this server
model = mlflow.pyfunc.load_model("models:/{name}@champion")
answers = model.predict(pandas.read_csv("new_patients.csv", dtype=str))
```

or, in the project's folder, `medgraft predict --input new_patients.csv --output answers.csv`. A
record that is not as described gets the reason in `problem` and no answer.
The alias `champion` is on the version that the last pipeline run chose."""
NEEDED = ("medgraft", "torch", "numpy", "polars", "pandas")


def named(folder: str) -> str:
    """What the registered model of a cohort's folder is called."""
    return f"medgraft-{Path(folder).name}"


def current(client: MlflowClient, name: str) -> str:
    """The version that the alias points to."""
    return str(client.get_model_version_by_alias(name, ALIAS).version)


def register(client: MlflowClient, champion: Path, *, name: str, run_id: str) -> str:
    """Make the champion the version that the alias `champion` of model `name` points to.

    A champion with the bytes of an earlier version is that version; no version is ever removed.

    Args:
        client: of the database or server.
        champion: folder written by `export`.
        name: of the registered model.
        run_id: the run whose artifacts will hold the model.

    Returns:
        The number of the version.
    """
    fingerprint = fingerprint_of(champion)
    number = earlier(client, name, fingerprint, description=purpose(champion, name))
    if number is None:
        facts = read_json(champion / "champion.json")
        with tempfile.TemporaryDirectory() as place:
            save(Path(place) / FOLDER, champion)
            client.log_artifacts(run_id, str(Path(place) / FOLDER), FOLDER)
        number = client.create_model_version(
            name,
            source=f"{client.get_run(run_id).info.artifact_uri}/{FOLDER}",
            run_id=run_id,
            tags={"strategy": facts["strategy"]} | facts["made"] | {FINGERPRINT: fingerprint},
            description=f"{facts['verdict']}\n\nThis is **{facts['strategy']}**. {facts['reason']}",
        ).version
    give_alias(client, name, number)
    return str(number)


def give_alias(client: MlflowClient, name: str, number: Any) -> None:
    """Point the alias to a version, also where another process does so in the same moment.

    MLflow looks whether the alias is there, then adds it: of two who are the first, the later one's
    is refused by the database. It finds the other's when it looks again.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.set_registered_model_alias(name, ALIAS, number)
    except MlflowException as error:
        if error.error_code != "BAD_REQUEST":
            raise
        client.set_registered_model_alias(name, ALIAS, number)


def fingerprint_of(champion: Path) -> str:
    """A hash of every file of the champion."""
    digest = hashlib.sha256()
    for path in sorted(champion.iterdir()):
        digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def purpose(champion: Path, name: str) -> str:
    """What the model is for, and how it is asked."""
    records = records_of(champion)
    (site,) = records.description.sites
    outcome = read_json(champion / "champion.json")["outcome"]
    answers = ", ".join(outcome["classes"]) or outcome["unit"]
    told = f"{outcome['name']} ({answers})" if answers else outcome["name"]
    measured = f"{len(records.columns)} measurements"
    return f"""Predicts **{told}** for patients of **{site}** from {measured}.
It was made to compare methods and is not approved for care.

{USE.format(name=name)}"""


def earlier(client: MlflowClient, name: str, fingerprint: str, *, description: str) -> str | None:
    """The version of `name` with these bytes; makes the registered model where there is none."""
    from mlflow.exceptions import MlflowException

    asked = f"name = '{name}'"
    if not client.search_registered_models(asked):
        try:
            client.create_registered_model(name, description=description)
        except MlflowException:
            # Another process may have made it a moment ago.
            if not client.search_registered_models(asked):
                raise
    versions = client.search_model_versions(asked)
    same = [one.version for one in versions if one.tags.get(FINGERPRINT) == fingerprint]
    return str(max(same, key=int)) if same else None


def save(folder: Path, champion: Path) -> None:
    """Write the champion as an MLflow model: its files, the code that serves them, an example."""
    import pandas as pd
    from mlflow import pyfunc
    from mlflow.models import Model

    records, example = records_of(champion), read_json(champion / EXAMPLE)
    with no_bytecode():
        pyfunc.save_model(
            folder,
            python_model=champion / "serve.py",
            artifacts={"champion": str(champion)},
            signature=signature(records, champion),
            input_example=pd.DataFrame([{name: example[name] for name in records.columns}]),
            pip_requirements=requirements(),
        )
    # MLflow writes down where both lay on this machine, and loads them from the model's own folder.
    saved = Model.load(folder)
    flavor = saved.flavors["python_function"]
    flavor["model_code_path"] = "serve.py"
    flavor["artifacts"]["champion"]["uri"] = flavor["artifacts"]["champion"]["path"]
    saved.save(folder / "MLmodel")


@contextmanager
def no_bytecode() -> Iterator[None]:
    """Have no `__pycache__` written: MLflow imports serve.py where it lies, in a sealed folder."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def requirements() -> list[str]:
    """What the model needs, as an index has it: a build for one device, 2.13.0+cpu, is on none."""
    return [f"{package}=={version(package).partition('+')[0]}" for package in NEEDED]


def signature(records: Records, champion: Path) -> ModelSignature:
    """Columns in, of text or numbers; columns out.

    MLflow answers a file that lacks a required column by printing the patients in it, so none is
    required here: the model itself says which column is absent, and shows no patient. No answer is
    certain to be there either: a refused record has none.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    outcome = read_json(champion / "champion.json")["outcome"]
    none = np.empty((0, tasks.of(outcome["task"]).width(outcome)))
    answers = frame(none, [], outcome=outcome, reach=read_json(champion / ANSWERS)["reach"])
    return ModelSignature(
        inputs=Schema([ColSpec(AnyType(), name, required=False) for name in records.columns]),
        outputs=Schema(
            [ColSpec(KINDS[type(one.dtype)], one.name, required=False) for one in answers]
        ),
    )
