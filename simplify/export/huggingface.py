"""Our models as classes of the `transformers` library. The only module that knows it, with `write`.

An exported folder holds weights, config and a small file that imports these classes, so the zoo's
code is never copied and a loaded model runs exactly what was trained.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput, MaskedLMOutput

from simplify.config import BlockConfig, ModelConfig, RunConfig
from simplify.zoo.loss import IGNORED, token_loss
from simplify.zoo.model import Transformer


class SimplifyConfig(PretrainedConfig):
    """The block's and the model's settings, as in a run's config.yaml, with the names `transformers` expects."""

    model_type = "simplify"

    def __init__(
        self,
        block: dict[str, Any] | None = None,
        model: dict[str, Any] | None = None,
        vocab_size: int = 0,
        **others: Any,
    ) -> None:
        super().__init__(**others)
        self.block, self.model, self.vocab_size = block or {}, model or {}, vocab_size
        self.hidden_size, self.num_hidden_layers = self.model.get("d_model"), self.model.get("n_layers")
        self.num_attention_heads = self.model.get("n_heads")
        self.max_position_embeddings = self.model.get("n_positions") or self.model.get("seq_len")

    @classmethod
    def of(cls, run: RunConfig, **others: Any) -> SimplifyConfig:
        """The configuration of a run's model."""
        return cls(
            block=run.block.model_dump(mode="json"),
            model=run.model.model_dump(mode="json"),
            vocab_size=run.data.vocab_size,
            tie_word_embeddings=run.model.tied_embeddings,
            use_cache=False,
            **others,
        )


class _Wrapped(PreTrainedModel):
    """What decoder and encoder share. `transformer` is the model as it was trained."""

    config_class = SimplifyConfig
    base_model_prefix = "transformer"

    def __init__(self, config: SimplifyConfig) -> None:
        super().__init__(config)
        block, model = BlockConfig.model_validate(config.block), ModelConfig.model_validate(config.model)
        if model.tied_embeddings:
            self._tied_weights_keys = {"transformer.output.weight": "transformer.embedding.weight"}
        self.transformer = Transformer(block, model, config.vocab_size)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Weights all come from the file; codes that are not saved are computed anew."""
        if hasattr(module, "fill"):
            module.fill()  # type: ignore[operator]

    def get_input_embeddings(self) -> nn.Module:
        return self.transformer.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.transformer.embedding = value  # type: ignore[assignment]

    def get_output_embeddings(self) -> nn.Module:
        return self.transformer.output

    def _logits(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        padded = attention_mask is not None and not bool(attention_mask.all())
        return self.transformer(
            input_ids, valid=attention_mask.bool() if padded and attention_mask is not None else None
        )


class SimplifyForCausalLM(_Wrapped, GenerationMixin):
    """A decoder. `generate` works without a cache; `simplify sample` has one."""

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **_others: Any,
    ) -> CausalLMOutput:
        """`labels` are the input itself, as everywhere in `transformers`: shifted here, -100 does not count."""
        logits = self._logits(input_ids, attention_mask)
        loss = None
        if labels is not None:
            targets = torch.full_like(labels, IGNORED)
            targets[:, :-1] = labels[:, 1:]
            loss = token_loss(logits, targets)
        return CausalLMOutput(loss=loss, logits=logits)  # type: ignore[arg-type]

    def prepare_inputs_for_generation(  # type: ignore[override]
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **_others: Any
    ) -> dict[str, Any]:
        """All tokens anew at each step, cut to the positions the model knows."""
        limit = self.transformer.max_positions or input_ids.shape[1]
        mask = None if attention_mask is None else attention_mask[:, -limit:]
        return {"input_ids": input_ids[:, -limit:], "attention_mask": mask}


class SimplifyForMaskedLM(_Wrapped):
    """An encoder."""

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **_others: Any,
    ) -> MaskedLMOutput:
        """`labels` hold the hidden tokens; -100 does not count."""
        logits = self._logits(input_ids, attention_mask)
        loss = None if labels is None else token_loss(logits, labels)
        return MaskedLMOutput(loss=loss, logits=logits)  # type: ignore[arg-type]
