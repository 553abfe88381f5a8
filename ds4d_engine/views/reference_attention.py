# SPDX-License-Identifier: GPL-3.0-or-later
"""Self-attention that also reads another picture, and another frame.

Zero123++ shows its network the input picture by running it twice per step: first on the (noisy)
input, where every self-attention layer leaves its tokens; then on the views, where the layer
attends to its own tokens and those left by the input (the paper's reference attention; Shi et al.,
arXiv 2310.15110). STAG4D (Zeng et al., arXiv 2403.14939) adds consistency over time: the views'
own tokens are averaged, as keys and values, with those of the clip's first frame at the same
layer and step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass
class Anchor:
    """What the first frame's views attended to, by step and layer, in main memory.

    With `recording` it is being filled; after that the views of other frames are averaged with it.
    """

    tokens: list[dict[str, Tensor]] = field(default_factory=list)
    recording: bool = True


@dataclass
class AttentionState:
    """What the attention layers of one network share during a step."""

    writing: bool = False
    """Whether the pass on the input picture is under way."""
    reference: dict[str, Tensor] = field(default_factory=dict)
    anchor: Anchor | None = None
    step: int = 0

    def context(self, layer: str, tokens: Tensor) -> Tensor:
        """Return what a layer with tokens [B,N,C] attends to: [B,N,C] or [B,N+M,C]."""
        if self.writing:
            self.reference[layer] = tokens
            return tokens
        return torch.cat([self._shared(layer, tokens), self.reference.pop(layer)], dim=1)

    def _shared(self, layer: str, tokens: Tensor) -> Tensor:
        if self.anchor is None:
            return tokens
        if self.anchor.recording:
            if len(self.anchor.tokens) == self.step:
                self.anchor.tokens.append({})
            self.anchor.tokens[self.step][layer] = tokens.detach().to("cpu", copy=True)
            return tokens
        # Keys and values are linear in the tokens: averaging these averages those.
        return (tokens + self.anchor.tokens[self.step][layer].to(tokens.device)) / 2


class ReferenceAttention:
    """Attention processor of one self-attention layer of a diffusers network."""

    def __init__(self, layer: str, state: AttentionState) -> None:
        from diffusers.models.attention_processor import AttnProcessor2_0

        self.layer, self.state = layer, state
        self.plain = AttnProcessor2_0()

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Attend; the parameters are those that diffusers passes to every processor."""
        tokens = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        context = self.state.context(self.layer, tokens)
        result: Tensor = self.plain(attn, hidden_states, context, attention_mask, temb)
        return result


def install(unet: Any, state: AttentionState | None = None) -> AttentionState:
    """Let all self-attention layers of a UNet2DConditionModel share a state, a new one for None."""
    from diffusers.models.attention_processor import AttnProcessor2_0

    state = state or AttentionState()
    unet.set_attn_processor(
        {
            name: ReferenceAttention(name, state)
            if name.endswith("attn1.processor")
            else AttnProcessor2_0()
            for name in unet.attn_processors
        }
    )
    return state
