import numpy as np

from medgraft.evaluation.predictions import StrategyResult, Study


def binary(logit: np.ndarray) -> np.ndarray:
    p = 1 / (1 + np.exp(-np.asarray(logit, dtype=float)))
    return np.stack([1 - p, p], axis=-1)


def result(test: np.ndarray, **facts: object) -> StrategyResult:
    """A strategy whose validation predictions equal its test predictions unless told otherwise."""
    runs, rows = test.shape[:2]
    run, row = np.divmod(np.arange(runs * rows), rows)
    given = {
        "fold": np.tile(np.arange(rows) % 4, (runs, 1)),
        "validation_run": run,
        "validation_row": row,
        "validation_fold": (row + 1) % 4,
        "validation": test.reshape(runs * rows, -1),
        "uses_source": True,
        "fitted_parameters": 10,
        "description": "planted",
    }
    return StrategyResult(test=test, **{**given, **facts})  # type: ignore[arg-type]


def make_study(
    strengths: dict[str, float],
    *,
    baselines: tuple[str, ...] = ("scratch",),
    parameters: dict[str, int] | None = None,
    runs: int = 6,
) -> Study:
    """60 patients and a binary outcome; a strategy is how strongly it follows the outcome."""
    generator = np.random.default_rng(11)
    outcome = np.repeat([0.0, 1.0], 30)
    luck = generator.standard_normal(60)
    strategies = {
        name: result(
            binary(
                strength * (2 * outcome - 1)
                + 0.8 * luck
                + 0.3 * generator.standard_normal(60)
                + 0.3 * generator.standard_normal((runs, 60))
            ),
            uses_source=name not in baselines,
            fitted_parameters=(parameters or {}).get(name, 10),
        )
        for name, strength in strengths.items()
    }
    rows = (outcome, np.arange(60))
    return Study(*rows, *rows, "binary", ("no", "yes"), strategies)
