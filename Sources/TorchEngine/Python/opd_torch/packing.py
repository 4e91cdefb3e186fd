"""Sequences of a request as every rank's packed row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from opd_torch.errors import RefusalError
from opd_torch.messages import Array, Message


@dataclass
class Sequences:
    """What a request asks log-probabilities of: sequences one after the other, split over the ranks in order."""

    tokens: Array  # of all sequences, prompt and response
    counts: Array  # tokens of each
    prompt_counts: Array  # of which these are the prompt, at least 1
    temperatures: Array  # of each; 0 counts as 1
    rank_counts: Array  # sequences of each rank; none is allowed

    @staticmethod
    def of(message: Message, ranks: int) -> Sequences:
        """Returns the sequences of a request; a `RefusalError` says why it is malformed."""
        given = Sequences(
            message.array("tokens", "i32"),
            message.array("counts", "i32"),
            message.array("prompt_counts", "i32"),
            message.array("temperatures", "f32"),
            message.array("rank_counts", "i32"),
        )
        counts, prompts = given.counts.astype(np.int64), given.prompt_counts.astype(np.int64)
        sizes = {len(counts), len(prompts), len(given.temperatures), int(given.rank_counts.astype(np.int64).sum())}
        if len(sizes) != 1 or len(given.rank_counts) != ranks or (given.rank_counts < 0).any():
            raise RefusalError("request", f"{message.verb} has arrays of different lengths, or not of {ranks} ranks")
        if (prompts < 1).any() or (counts <= prompts).any() or int(counts.sum()) != len(given.tokens):
            raise RefusalError("request", f"{message.verb} has a sequence without a prompt or a response")
        if not (np.isfinite(given.temperatures) & (given.temperatures >= 0)).all():
            raise RefusalError("request", f"{message.verb} has a temperature that is none")
        return given

    def response_slice(self, rank: int) -> slice:
        """Returns where a rank's response tokens lie among those of all."""
        ends = np.concatenate([[0], np.cumsum(self.counts - self.prompt_counts, dtype=np.int64)])
        first = int(self.rank_counts[:rank].sum())
        return slice(int(ends[first]), int(ends[first + int(self.rank_counts[rank])]))

    def row(self, rank: int, device: torch.device, is_apart: bool) -> Row:
        """Returns what one rank computes, in one pass or in one for each sequence."""
        first = int(self.rank_counts[:rank].sum())
        mine = slice(first, first + int(self.rank_counts[rank]))
        counts, prompts = self.counts[mine].astype(np.int64), self.prompt_counts[mine].astype(np.int64)
        start = int(self.counts[:first].astype(np.int64).sum())
        tokens = self.tokens[start : start + int(counts.sum())].astype(np.int64)
        # Every pass is collective: a rank without work for it reads one token and answers nothing.
        wanted = int(self.rank_counts.max()) if is_apart else 1
        idle = np.zeros(max(0, wanted - len(counts)), np.int64)
        positions = np.concatenate([*(np.arange(count) for count in counts), idle])
        ends = np.cumsum([*counts, *(idle + 1)]) if is_apart else [len(positions)]
        places = np.arange(len(tokens))
        is_response = positions[: len(tokens)] >= np.repeat(prompts, counts)
        rows = places[is_response] - 1
        temperatures = np.where(self.temperatures[mine] > 0, self.temperatures[mine], 1).astype(np.float32)
        return Row(
            torch.as_tensor(np.concatenate([tokens, idle]), device=device)[None],
            torch.as_tensor(positions, device=device)[None],
            [slice(int(start), int(end)) for start, end in zip([0, *ends], ends, strict=False)],
            torch.as_tensor(rows, device=device),
            torch.as_tensor(tokens[is_response], device=device),
            torch.as_tensor(1 / np.repeat(temperatures, counts - prompts), device=device),
        )


@dataclass
class Row:
    """Sequences of one rank in one row.

    Their positions start again at 0, which keeps them from seeing each other in most families.
    """

    ids: torch.Tensor  # [1, T]
    positions: torch.Tensor  # [1, T]
    passes: list[slice]  # the parts of the row that are read by themselves
    rows: torch.Tensor  # [R], the places whose next token is a response token
    targets: torch.Tensor  # [R], these tokens
    inverse_temperatures: torch.Tensor  # [R]
