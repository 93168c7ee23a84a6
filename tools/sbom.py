"""Bill of materials of this installation: CycloneDX 1.6, every distribution there is.

python tools/sbom.py > sbom.json
"""

from __future__ import annotations

import json
import re
from importlib.metadata import Distribution, distributions
from typing import Any

LICENCE = "License :: "


def component(one: Distribution) -> dict[str, Any]:
    """One distribution: name, version, package address and licence as it states them itself."""
    about = one.metadata
    name = re.sub(r"[-_.]+", "-", about["Name"]).lower()
    told = about.get("License-Expression")
    classified = [
        text.rpartition(" :: ")[2]
        for text in about.get_all("Classifier") or ()
        if text.startswith(LICENCE)
    ]
    licences = [{"expression": told}] if told else [{"license": {"name": n}} for n in classified]
    return {
        "type": "library",
        "bom-ref": f"pkg:pypi/{name}@{one.version}",
        "name": name,
        "version": one.version,
        "purl": f"pkg:pypi/{name}@{one.version}",
    } | ({"licenses": licences} if licences else {})


def bill() -> dict[str, Any]:
    """The whole list, sorted; the same for the same installation, so that two can be compared."""
    found = {part["purl"]: part for part in map(component, distributions())}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "components": [found[purl] for purl in sorted(found)],
    }


if __name__ == "__main__":
    print(json.dumps(bill(), indent=2))
