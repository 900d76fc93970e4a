"""Verdicts as JUnit XML, so that a CI system shows them: only a pass is a pass."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any

NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(study: str, verdicts: Sequence[Mapping[str, Any]]) -> str:
    """One test case per criterion: a failure where it fails, an error where it is not yet known."""
    fails = sum(v["verdict"] == "fail" for v in verdicts)
    errors = sum(v["verdict"] not in ("fail", "pass") for v in verdicts)
    counts = {"tests": str(len(verdicts)), "failures": str(fails), "errors": str(errors)}
    root = ET.Element("testsuites", counts)
    suite = ET.SubElement(root, "testsuite", {"name": _xml(study), **counts})
    for verdict in verdicts:
        attributes = {"classname": f"seatrial.{_xml(study)}", "name": _xml(verdict["criterion"])}
        case = ET.SubElement(suite, "testcase", attributes)
        reason = _xml(verdict["reason"])
        if verdict["verdict"] == "pass":
            ET.SubElement(case, "system-out").text = reason
        else:
            tag = "failure" if verdict["verdict"] == "fail" else "error"
            ET.SubElement(case, tag, {"type": verdict["verdict"], "message": reason})
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _xml(text: str) -> str:
    """`text` without the characters that XML cannot hold."""
    return NOT_XML.sub("\ufffd", text)
