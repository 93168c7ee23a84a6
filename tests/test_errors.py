"""What no message may hold."""

import pytest

from medgraft.errors import ConfigError


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("uri: https://me:pw@mlflow.example/x", "uri: https://mlflow.example/x"),
        ("postgresql://t0ken@db/mlflow failed", "postgresql://db/mlflow failed"),
        ("postgresql://db/x?password=pw&ssl=1", "postgresql://db/x?password=&ssl=1"),
        ("'https://h/?Token=t0ken' refused", "'https://h/?Token=' refused"),
        ("file:///data/a@b.csv, not an address", "file:///data/a@b.csv, not an address"),
        ("write to me@hospital.example", "write to me@hospital.example"),
    ],
)
def test_message_holds_no_password(written, said):
    assert str(ConfigError(written)) == said
