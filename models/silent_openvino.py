"""OpenVINO without its telemetry: ``from models.silent_openvino import ov, ops``.

``import openvino`` writes to the home folder and reports its use over the network, through a
package that OpenVINO does without where it cannot be imported. This program must do neither, so
OpenVINO is imported here and nowhere else.
"""

# ruff: noqa: E402 - the entry comes first

import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino as ov
from openvino import opset15 as ops

__all__ = ["ops", "ov"]
