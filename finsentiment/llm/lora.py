"""LoRA on a linear map of a frozen model, with the least arithmetic and memory.

PEFT's own layer casts the input to the adapter's float32, keeps copies for the backward pass and adds two
matrices of the output's size. Here the low-rank product is added in place within the matrix product, in the
arithmetic of the base model; adapter, gradient and optimiser state stay float32.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import Tensor
from torch.nn import functional


class _LowRank(torch.autograd.Function):
    """y = x W' + bias + s (x A') B' for rows x, with gradients for x, A and B alone (Hu et al. 2022, equation 3)."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, a: Tensor, b: Tensor, weight: Tensor, bias: Tensor | None, s: float) -> Tensor:
        inner = rows @ a.T
        y = functional.linear(rows, weight, bias).addmm_(inner, b.T, alpha=s)
        ctx.save_for_backward(rows, inner, a, b, weight)
        ctx.s = s
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, inner, a, b, weight = ctx.saved_tensors
        grad_inner = (grad @ b).mul_(ctx.s)
        grad_rows = (grad @ weight).addmm_(grad_inner, a) if ctx.needs_input_grad[0] else None
        return grad_rows, grad_inner.T @ rows, (grad.T @ inner).mul_(ctx.s), None, None, None


class LeanLinear(Linear):
    """PEFT's LoRA layer, with a forward and backward pass of its own while it trains without dropout."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The linear map of `x` (…, in) plus the adapter's share: (…, out)."""
        name = self.active_adapters[0]
        plain = isinstance(self.lora_dropout[name], torch.nn.Identity) and not (self.merged or self.disable_adapters)
        if not plain:
            return super().forward(x, *args, **kwargs)
        a, b = (part[name].weight.to(x.dtype) for part in (self.lora_A, self.lora_B))
        base, rows = self.base_layer, x.reshape(-1, x.shape[-1])
        y = _LowRank.apply(rows, a, b, base.weight, base.bias, self.scaling[name])
        return y.view(*x.shape[:-1], y.shape[-1])
