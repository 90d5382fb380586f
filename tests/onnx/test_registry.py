"""What ONNX's own table of ops says of those that are known, and what the documentation does."""

import re
from pathlib import Path

import pytest

onnx = pytest.importorskip("onnx", reason="pip install 'cnnfast[onnx]'")

from cnnfast.onnx import registry
from cnnfast.onnx.importer import FIRST_OPSET

HISTORY = [each for each in onnx.defs.get_all_schemas_with_history() if each.domain == "" and not each.deprecated]
REFUSED = {"consumed_inputs", "sparse_value", "value_string", "value_strings"}
"""Attributes that are not supported: of memory that nobody shares any more, of sparse tensors, of strings."""
PAGE = Path(__file__).parents[2] / "docs" / "onnx.md"


def last(schema: object) -> int:
    """The last opset in which a schema is what its op means."""
    newer = [each.since_version for each in HISTORY if each.name == schema.name]
    return min((version - 1 for version in newer if version > schema.since_version), default=10**6)


@pytest.mark.parametrize("name", sorted(registry.KNOWN))
def test_every_version_is_known_with_its_attributes(name: str) -> None:
    versions = [each for each in HISTORY if each.name == name and last(each) >= FIRST_OPSET]
    assert versions or name in ("Upsample", "Scatter"), f"ONNX has no op {name}"
    for schema in versions:
        if name == "Upsample" and schema.since_version < 7:
            continue
        known = registry.find(name, max(FIRST_OPSET, schema.since_version))
        assert known is not None, f"{name} of opset {schema.since_version}"
        assert schema.attributes.keys() - REFUSED <= known.attributes
        required = {attribute for attribute, each in schema.attributes.items() if each.required}
        assert known.required <= required


def test_the_page_lists_every_op() -> None:
    section = PAGE.read_text().split("## Supported ops", 1)[1].split("\n## ", 1)[0]
    listed = re.findall(r"`([A-Z]\w+)`", section)
    assert sorted(listed) == sorted(registry.KNOWN)
