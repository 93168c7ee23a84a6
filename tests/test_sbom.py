"""The bill of materials names what is installed, all of it, each once."""

import json
import re
import subprocess
import sys
from importlib.metadata import distributions


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_bill_names_every_installed_distribution(root):
    command = [sys.executable, root / "tools" / "sbom.py"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    bill = json.loads(told)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    listed = [(part["name"], part["version"]) for part in bill["components"]]
    assert len(set(listed)) == len(listed)
    assert set(listed) == {(normal(one.metadata["Name"]), one.version) for one in distributions()}
    assert {"torch", "mlflow", "medgraft"} <= {name for name, _ in listed}
    assert all(p["purl"] == f"pkg:pypi/{p['name']}@{p['version']}" for p in bill["components"])


def test_installed_are_pinned(root):
    """What is installed at another version than constraints.txt says would be another product."""
    lines = (root / "constraints.txt").read_text().split()
    pinned = {normal(name): version for name, _, version in (one.partition("==") for one in lines)}
    # A build for a processor or a graphics card has a mark of its own behind the plus.
    found = {normal(one.metadata["Name"]): one.version.split("+")[0] for one in distributions()}
    differ = {n: (found[n], v) for n, v in pinned.items() if n in found and found[n] != v}
    assert differ == {}
