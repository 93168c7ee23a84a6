"""What MLflow runs to load a registered champion and to ask it; nothing is pickled.

`export` puts this file into `work/champion` as `serve.py`; MLflow copies it into the model ("models
from code") and hands it the champion as an artifact. It needs the installed medgraft package.
"""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import polars as pl
from mlflow.pyfunc import PythonModel


class Champion(PythonModel):
    """`medgraft.deployment.model.Model` for pandas."""

    def load_context(self, context: Any) -> None:
        """Load the champion."""
        from medgraft.deployment.model import load

        self.model = load(Path(context.artifacts["champion"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Answer raw records, text or typed values: one row each, in order."""
        del context, params
        answers = self.model.predict(to_polars(model_input))
        return pd.DataFrame(answers.to_dict(as_series=False), index=model_input.index)


def to_polars(frame: pd.DataFrame) -> pl.DataFrame:
    """Numbers as numbers, everything else as text; whatever pandas takes for missing is null."""
    return pl.DataFrame([series(str(name), column) for name, column in frame.items()])


def series(name: str, column: pd.Series) -> pl.Series:
    """One column."""
    if pd.api.types.is_float_dtype(column) or pd.api.types.is_integer_dtype(column):
        return pl.Series(name, column.to_numpy(dtype=float, na_value=float("nan")))
    cells = [None if pd.isna(cell) else str(cell) for cell in column]
    return pl.Series(name, cells, dtype=pl.String)


mlflow.models.set_model(Champion())
