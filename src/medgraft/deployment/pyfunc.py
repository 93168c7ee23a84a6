"""What MLflow runs to load a registered champion and to ask it; nothing is pickled.

`export` puts this file into `work/champion` as `serve.py`; MLflow copies it into the model ("models
from code") and hands it the champion as an artifact. It needs the installed medgraft package.
"""

import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import polars as pl
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel


class RefusedError(MlflowException):
    """A request that cannot be answered: status 400 with the reason, and no stack trace.

    The server would put the request before the reason, patients and all: the first message stays.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason, error_code=INVALID_PARAMETER_VALUE)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set everything once."""
        if name not in self.__dict__:
            super().__setattr__(name, value)


class Champion(PythonModel):
    """`medgraft.deployment.model.Model` for pandas."""

    def load_context(self, context: Any) -> None:
        """Load the champion."""
        from medgraft.deployment.model import load

        self.model = load(Path(context.artifacts["champion"]))
        guard(self.model.records)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Answer raw records, text or typed values: one row each, in order.

        Raises:
            RefusedError: the columns are not those described.
        """
        from medgraft.errors import MedgraftError

        del context, params
        try:
            answers = self.model.predict(to_polars(model_input))
        except MedgraftError as error:
            raise RefusedError(str(error)) from None
        # As objects an absent answer stays None: a float's NaN is no JSON.
        columns = {c.name: c.to_list() if c.null_count() else c.to_numpy() for c in answers}
        objects = {
            n: pd.Series(c, dtype=object) if isinstance(c, list) else c for n, c in columns.items()
        }
        return pd.DataFrame(objects).set_axis(model_input.index)


def guard(records: Any) -> None:
    """In a process of `mlflow models serve`, have requests read by `answer`.

    MLflow has no other place for it: the server reads a request before it asks the model, and puts
    its own stack trace, or the patients, into what it says of a malformed one.
    """
    if "mlflow.pyfunc.scoring_server.app" in sys.modules:
        from mlflow.pyfunc import scoring_server

        handler = partial(answer, scoring_server.invocations, records)
        scoring_server.invocations = handler


def answer(
    handler: Callable[..., Any],
    records: Any,
    data: bytes,
    content_type: str | None,
    *model: Any,
) -> Any:
    """Answer a request by MLflow's own `handler`; whatever it cannot read is refused.

    Raises:
        RefusedError: with the reason; never with a stack trace or a cell of the request.
    """
    from medgraft.deployment.requests import readable
    from medgraft.errors import MedgraftError
    from medgraft.preparation.findings import listed

    try:
        return handler(*readable(records, data, content_type or "none"), *model)
    except RefusedError:
        raise
    except MedgraftError as error:
        raise RefusedError(str(error)) from None
    except MlflowException as error:
        if trace := error.json_kwargs.get("stack_trace"):
            logging.getLogger(__name__).error(trace)
        reason, _, _ = error.message.partition("\nInput:")
        if reason.startswith("Failed to predict data"):  # and goes on with the patients
            reason = f"expected a table with the columns {listed(list(records.columns))}"
        raise RefusedError(reason) from None
    except Exception as error:
        raise RefusedError(f"the request cannot be read ({type(error).__name__})") from None


def to_polars(frame: pd.DataFrame) -> pl.DataFrame:
    """Numbers as numbers, everything else as text; whatever pandas takes for missing is null."""
    if not isinstance(frame, pd.DataFrame):
        raise RefusedError("expected records with named columns, as dataframe_split has them")
    if twice := sorted({str(name) for name in frame.columns[frame.columns.duplicated()]}):
        raise RefusedError(f"named twice: {', '.join(twice)}")
    return pl.DataFrame([series(str(name), column) for name, column in frame.items()])


def series(name: str, column: pd.Series) -> pl.Series:
    """One column."""
    if pd.api.types.is_float_dtype(column) or pd.api.types.is_integer_dtype(column):
        return pl.Series(name, column.to_numpy(dtype=float, na_value=float("nan")))
    cells = [
        None if pd.api.types.is_scalar(cell) and pd.isna(cell) else str(cell) for cell in column
    ]
    return pl.Series(name, cells, dtype=pl.String)


mlflow.models.set_model(Champion())
