"""Software bill of materials, CycloneDX 1.6, of a file of pinned requirements.

Usage: sbom.py REQUIREMENTS VERSION > sbom.cdx.json

The same pins give the same bytes. Needs the standard library only.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from pathlib import Path
from typing import Any

_PIN = re.compile(r"^([\w.-]+)(?:\[[\w,.-]+\])?==([^\s;]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def main(requirements: Path, version: str) -> None:
    """Print the bill of materials of one file."""
    json.dump(bill_of_materials(requirements.read_text(), version), sys.stdout, indent=1)
    print()


def bill_of_materials(requirements: str, version: str) -> dict[str, Any]:
    """The bill as CycloneDX JSON.

    Args:
        requirements: content of a pinned file, each entry with its version and hashes.
        version: of vertseg itself.

    Raises:
        ValueError: an entry is not pinned.
    """
    lines = requirements.replace("\\\n", " ").splitlines()
    entries = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    components = [_component(entry) for entry in entries]
    product = {
        "type": "application",
        "bom-ref": f"pkg:generic/vertseg@{version}",
        "name": "vertseg",
        "version": version,
        "purl": f"pkg:generic/vertseg@{version}",
        "licenses": [{"expression": "Apache-2.0 AND CC-BY-SA-4.0 AND Bitstream-Vera"}],
    }
    number = uuid.uuid5(uuid.NAMESPACE_URL, f"vertseg {version}\n{requirements}")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        "metadata": {"component": product},
        "components": components,
        "dependencies": [
            {"ref": product["bom-ref"], "dependsOn": [c["bom-ref"] for c in components]}
        ],
    }


def _component(entry: str) -> dict[str, Any]:
    pin, hashes = _PIN.match(entry), _HASH.findall(entry)
    if pin is None or not hashes:
        raise ValueError(f"not pinned by version and hash: {entry[:80]}")
    name, version = re.sub(r"[-_.]+", "-", pin[1]).lower(), pin[2]
    purl = f"pkg:pypi/{name}@{version}"
    files = {
        "type": "distribution",
        "url": f"https://pypi.org/project/{name}/{version}/#files",
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in hashes],
    }
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "externalReferences": [files],
    }


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2])
