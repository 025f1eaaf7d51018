"""Whether a file's first bytes are an ONNX model's.

ONNX has no magic number, and many files are protobuf. So the first fields must be those of a
ModelProto, in order and well formed as far as the head reaches: a small ir_version, texts that are
texts, and then an imported operator set or the beginning of a graph whose own first field fits.
"""

from __future__ import annotations

from edgewise.errors import EdgewiseError
from edgewise.formats.onnx.wire import GraphTag, ModelTag, NodeTag
from edgewise.formats.protobuf import VARINT, Wire

#: Today's is 13; a few more are to come.
_HIGHEST_IR_VERSION = 40
#: Longest plausible name or version of a producer, domain, node or value.
_NAME_LIMIT = 1024
_TEXTS = (ModelTag.PRODUCER_NAME, ModelTag.PRODUCER_VERSION, ModelTag.DOMAIN, ModelTag.DOC_STRING)
_TOP = (ModelTag.GRAPH, ModelTag.OPSET_IMPORT, ModelTag.METADATA_PROPS, ModelTag.FUNCTIONS,
        ModelTag.TRAINING_INFO)  # fmt: skip
_GRAPH_MESSAGES = (GraphTag.INITIALIZER, GraphTag.INPUT, GraphTag.OUTPUT, GraphTag.VALUE_INFO)
_NODE_TEXTS = (NodeTag.INPUT, NodeTag.OUTPUT, NodeTag.NAME, NodeTag.OP_TYPE, NodeTag.DOMAIN)
_OPSET_VERSION = 0x10
_NAME = 0x0A


def looks_like_model(head: bytes) -> bool:
    """Whether `head`, the beginning of a file or all of it, is that of a ModelProto."""
    if len(head) < 4 or head[0] != ModelTag.IR_VERSION or not 1 <= head[1] <= _HIGHEST_IR_VERSION:
        return False
    sniffer = _Sniffer(head)
    try:
        return sniffer.model()
    except EdgewiseError:
        return False


class _Sniffer:
    """Looks at fields of a head that may end anywhere."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._wire = Wire(memoryview(head))

    def model(self) -> bool:
        """Whether the fields after ir_version lead to an operator set or a graph."""
        position, texts = 2, 0
        while position < len(self._head):
            tag, start, end = self._field(position)
            if tag in _TEXTS:
                if not self._text(start, end, tag == ModelTag.DOC_STRING):
                    return False
                texts += end > start
                if end > len(self._head):  # a long description hides what follows
                    return texts > 2
            elif tag in _TOP:
                return self._message(tag, start, end)
            elif tag != ModelTag.MODEL_VERSION:
                return False
            position = end
        return False

    def _field(self, position: int) -> tuple[int, int, int]:
        """Tag and place of the field there; its end may lie beyond the head."""
        tag, after = self._wire.varint(position, len(self._head))
        value, after = self._wire.varint(after, len(self._head))
        if tag & 7 == VARINT:
            return tag, value, after
        return tag, after, after + value

    def _text(self, start: int, end: int, long: bool = False) -> bool:
        if end - start > _NAME_LIMIT and not long:
            return False
        text = self._head[start:end]
        # The head may cut a character in two.
        decoded = text.decode("utf-8", "ignore")
        lost = len(text) - len(decoded.encode())
        fits = lost == 0 or (end > len(self._head) and lost < 4)
        return (
            fits
            and (decoded.isprintable() or all(s.isprintable() or s in "\t\r\n" for s in decoded))
            and (long or "\n" not in decoded)
        )

    def _message(self, tag: int, start: int, end: int) -> bool:
        if tag == ModelTag.OPSET_IMPORT:
            return self._opset(start, end)
        if tag == ModelTag.GRAPH:
            return self._graph(start, end)
        # Metadata and functions begin with a name or key.
        first, low, high = self._field(start)
        return first == _NAME and low < high <= end and self._text(low, high)

    def _opset(self, start: int, end: int) -> bool:
        """(domain, version), nothing else."""
        version = 0
        while start < end:
            tag, low, start = self._field(start)
            if tag == _NAME:
                if not self._text(low, start):
                    return False
            elif tag == _OPSET_VERSION:
                version = low
            else:
                return False
        return start == end and 0 < version < 1000

    def _graph(self, start: int, end: int) -> bool:
        tag, low, high = self._field(start)
        if high > end or low >= high:
            return False
        if tag == GraphTag.NODE:
            return self._node(low, high)
        if tag == GraphTag.NAME:
            return self._text(low, high)
        return tag in _GRAPH_MESSAGES

    def _node(self, start: int, end: int) -> bool:
        """A node's texts are texts until its operator, or the head's end."""
        while start < min(end, len(self._head)):
            tag, low, high = self._field(start)
            if high > end:
                return False
            if tag in _NODE_TEXTS:
                if not self._text(low, high):
                    return False
            elif tag not in (NodeTag.ATTRIBUTE, NodeTag.DOC_STRING):
                return False
            if tag == NodeTag.OP_TYPE:
                return low < high
            start = high
        return start >= len(self._head)
