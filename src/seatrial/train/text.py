"""Text as bytes: 256 tokens and no tokenizer."""

from __future__ import annotations

import torch

from seatrial.errors import MeasurementFailed
from seatrial.train.corpus import Corpus

END_OF_DOCUMENT = 0


def byte_windows(corpus: Corpus, length: int) -> torch.Tensor:
    """All documents in UTF-8, a zero byte after each, cut into windows [n, length + 1] of uint8.

    Neighbouring windows share one byte, so that every byte but the first is predicted exactly once; what does not
    fill the last window is dropped. Raises MeasurementFailed (wrong_result) where the text fills none.
    """
    content = bytearray()
    for text in corpus.documents:
        content += text.encode("utf-8", "surrogatepass")
        content.append(END_OF_DOCUMENT)
    count = (len(content) - 1) // length
    if count < 1:
        raise MeasurementFailed(
            "wrong_result",
            f"{corpus.origin}: {len(content)} bytes do not fill one sequence of {length}; nothing to train on",
        )
    return torch.frombuffer(content[: count * length + 1], dtype=torch.uint8).unfold(0, length + 1, length)
