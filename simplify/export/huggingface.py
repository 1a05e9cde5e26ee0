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
from simplify.export.arguments import given_tokens, positions_of, refuse, valid_places
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
    accepts_loss_kwargs = False  # the loss is a mean over this batch alone

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

    def _logits(
        self,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        position_ids: Tensor | None,
        others: dict[str, Any],
    ) -> Tensor:
        refuse(others, self.config)
        tokens = given_tokens(input_ids)
        valid = valid_places(attention_mask, tokens)
        positions = positions_of(position_ids, valid, tokens, self.transformer.max_positions)
        return self.transformer(tokens, valid=valid, positions=positions)

    def _answer(self, output: Any, return_dict: bool | None) -> Any:
        as_dict = getattr(self.config, "return_dict", True) if return_dict is None else return_dict
        return output if as_dict else output.to_tuple()


class SimplifyForCausalLM(_Wrapped, GenerationMixin):
    """A decoder. `generate` works without a cache; `simplify sample` has one."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        **others: Any,
    ) -> CausalLMOutput:
        """`labels` are the input itself, as everywhere in `transformers`: shifted here, -100 does not count.

        Positions are counted without padding, unless `position_ids` say otherwise. Raises ValueError.
        """
        logits = self._logits(input_ids, attention_mask, position_ids, others)
        loss = None
        if labels is not None:
            targets = torch.full_like(labels, IGNORED)
            targets[:, :-1] = labels[:, 1:]
            loss = token_loss(logits, targets)
        return self._answer(CausalLMOutput(loss=loss, logits=logits), return_dict)  # type: ignore[arg-type]

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """As everywhere in `transformers`. Raises ValueError where states of the layers are asked for."""
        settings = kwargs.get("generation_config") or (args[1] if len(args) > 1 else None) or self.generation_config
        names = ("output_hidden_states", "output_attentions")
        refuse({name: kwargs.get(name) or getattr(settings, name, False) for name in names}, self.config)
        return super().generate(*args, **kwargs)  # type: ignore[misc]

    def prepare_inputs_for_generation(  # type: ignore[override]
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        **_of_the_loop: Any,
    ) -> dict[str, Any]:
        """All tokens anew at each step, cut to the positions the model knows. A cache stays empty."""
        held = past_key_values.get_seq_length() if past_key_values is not None else 0
        refuse({"past_key_values": held > 0, "inputs_embeds": inputs_embeds}, self.config)
        known = self.transformer.max_positions
        limit = known or input_ids.shape[1]
        mask = None if attention_mask is None else attention_mask[:, -limit:]
        if position_ids is not None and known is not None:
            position_ids = position_ids[:, -limit:]
            beyond = (position_ids.max(dim=1, keepdim=True).values - (limit - 1)).clamp(min=0)
            position_ids = (position_ids - beyond).clamp(min=0)
        return {"input_ids": input_ids[:, -limit:], "attention_mask": mask, "position_ids": position_ids}


class SimplifyForMaskedLM(_Wrapped):
    """An encoder."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        **others: Any,
    ) -> MaskedLMOutput:
        """`labels` hold the hidden tokens; -100 does not count. Positions as in a decoder. Raises ValueError."""
        logits = self._logits(input_ids, attention_mask, position_ids, others)
        loss = None if labels is None else token_loss(logits, labels)
        return self._answer(MaskedLMOutput(loss=loss, logits=logits), return_dict)  # type: ignore[arg-type]
