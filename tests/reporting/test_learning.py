from pathlib import Path

import polars as pl

from medgraft.reporting.learning import mean_history


def test_mean_over_the_same_replicas(tmp_path: Path):
    frame = pl.DataFrame(
        {
            "replica": [0, 0, 1, 1, 1],
            "step": [10, 20, 10, 20, 30],
            "train_loss": [0.6, 0.4, 0.8, 0.6, 0.1],
            "validation_loss": [1.0, 0.5, 2.0, 1.5, 0.1],
        }
    )
    frame.write_parquet(tmp_path / "history.parquet")
    curve = mean_history(tmp_path / "history.parquet")
    assert curve["step"].to_list() == [10, 20]
    assert curve["validation_loss"].to_list() == [1.5, 1.0]


def test_untrained_strategy_has_no_history(tmp_path: Path):
    assert mean_history(tmp_path / "history.parquet").is_empty()


def test_title_names_lowest_step(binary):
    figure = binary.figures["learning"]
    lowest = sorted(
        curve.sort("validation_loss")["step"][0]
        for name in binary.study.strategies
        if not (
            curve := mean_history(binary.folder / "finetuned" / name / "history.parquet")
        ).is_empty()
    )
    assert f"after {lowest[0]} to {lowest[-1]} steps" in figure.title
