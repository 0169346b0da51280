"""The inputs of the loss-head benchmark on the peers' side; loss_inputs.h says what they are and how both sides agree."""
import pathlib
from dataclasses import dataclass

import torch

SEED, LOGIT_DEVIATION = 1, 4
TOKENS_PER_SEQUENCE, GROUP, CHECKED = 1024, 8, 64
BETA, CLIP = 0.04, 0.2


@dataclass
class LossInputs:
    hidden: torch.Tensor  # [rows, H] bfloat16
    weight: torch.Tensor  # [V, H] bfloat16
    targets: torch.Tensor  # [rows] int64
    advantages: torch.Tensor  # [rows] float
    reference: torch.Tensor  # [rows] float

    def first(self, rows: int) -> "LossInputs":
        return LossInputs(self.hidden[:rows], self.weight, self.targets[:rows], self.advantages[:rows], self.reference[:rows])


def read_raw(path: pathlib.Path, dtype: torch.dtype) -> torch.Tensor:
    return torch.frombuffer(bytearray(path.read_bytes()), dtype=dtype)


def write_raw(path: pathlib.Path, values: torch.Tensor) -> None:
    path.write_bytes(values.detach().contiguous().cpu().numpy().tobytes())


def make_inputs(folder: pathlib.Path, rows: int, hidden: int, vocab: int, device: str = "cuda") -> LossInputs:
    """Hidden states and head from the seed, targets and reference as caprl-bench-loss wrote them."""
    torch.manual_seed(SEED)
    weight = torch.randn(vocab, hidden, device=device).mul_(LOGIT_DEVIATION / hidden ** 0.5).to(torch.bfloat16)
    states = torch.randn(rows, hidden, device=device).to(torch.bfloat16)
    sequence = torch.arange(rows, device=device).div(TOKENS_PER_SEQUENCE, rounding_mode="floor")
    advantages = (sequence.remainder(GROUP).float() - (GROUP - 1) / 2) / ((GROUP * GROUP - 1) / 12) ** 0.5
    return LossInputs(states, weight, read_raw(folder / "targets.i64", torch.int64).to(device), advantages,
                      read_raw(folder / "reference.f32", torch.float32).to(device))


def checksum(values: torch.Tensor) -> int:
    return values.view(torch.int16).sum(dtype=torch.int64).item()


def checked_rows(rows: int, device: torch.device) -> torch.Tensor:
    return torch.arange(CHECKED, device=device).mul(rows).div(CHECKED, rounding_mode="floor")


def checked_ids(targets: torch.Tensor, vocab: int) -> torch.Tensor:
    spaced = torch.arange(CHECKED, device=targets.device).mul(vocab).div(CHECKED, rounding_mode="floor")
    return torch.cat([targets[checked_rows(len(targets), targets.device)], spaced])
