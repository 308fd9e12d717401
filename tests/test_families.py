"""Families of base models, tiny and random: each works or is refused in one line that names it."""

from __future__ import annotations

import pytest
import torch
import transformers
from transformers import AutoModel, AutoModelForCausalLM, PreTrainedModel

from finsentiment.errors import InputError
from finsentiment.llm.classifier import Classifier, trained_weights, with_adapter
from finsentiment.llm.families import TESTED_FAMILIES, UnfitError, refuse_encoder
from finsentiment.params import Lora

SIZES = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
USUAL = SIZES | {"intermediate_size": 64, "max_position_embeddings": 64}
GROUPED = USUAL | {"num_key_value_heads": 2}
TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
DECODERS = {
    "llama": ("LlamaConfig", GROUPED),
    "smollm3": ("SmolLM3Config", GROUPED | TOKENS),
    "mistral": ("MistralConfig", GROUPED),
    "qwen2": ("Qwen2Config", GROUPED),
    "qwen3": ("Qwen3Config", GROUPED | {"head_dim": 8}),
    "gemma": ("GemmaConfig", GROUPED | {"head_dim": 8}),
    "gemma2": ("Gemma2Config", GROUPED | {"head_dim": 8}),
    "gemma3_text": ("Gemma3TextConfig", GROUPED | {"head_dim": 8, "sliding_window": 8, "sliding_window_pattern": 2}),
    "phi": ("PhiConfig", GROUPED),
    "phi3": ("Phi3Config", GROUPED | TOKENS),
    "olmo2": ("Olmo2Config", GROUPED | TOKENS),
    "granite": ("GraniteConfig", GROUPED),
    "stablelm": ("StableLmConfig", GROUPED),
    "gpt2": ("GPT2Config", {"vocab_size": 64, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64} | TOKENS),
    "gptj": (
        "GPTJConfig",
        {"vocab_size": 64, "n_embd": 32, "n_layer": 3, "n_head": 4, "rotary_dim": 8, "n_positions": 64} | TOKENS,
    ),
    "gpt_neox": ("GPTNeoXConfig", USUAL),
    "opt": ("OPTConfig", SIZES | {"ffn_dim": 64, "max_position_embeddings": 64, "word_embed_proj_dim": 32}),
    "bloom": ("BloomConfig", {"vocab_size": 64, "hidden_size": 32, "n_layer": 3, "n_head": 4}),
    "falcon": ("FalconConfig", SIZES),
}
UNFIT = {
    "mpt": ("MptConfig", {"vocab_size": 64, "d_model": 32, "n_layers": 3, "n_heads": 4, "max_seq_len": 64}),
    "gpt_neo": (
        "GPTNeoConfig",
        {"vocab_size": 64, "hidden_size": 32, "num_layers": 3, "num_heads": 4, "max_position_embeddings": 64}
        | {"attention_types": [[["global", "local", "global"], 1]]},
    ),
    "mamba": ("MambaConfig", {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 3}),
    "bert": ("BertConfig", USUAL),
    "roberta": ("RobertaConfig", USUAL),
    "modernbert": ("ModernBertConfig", USUAL | TOKENS | {"cls_token_id": 1, "sep_token_id": 2}),
    "t5": ("T5Config", {"vocab_size": 64, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 3, "num_heads": 4}),
}


def made(config: tuple[str, dict[str, object]], loader: type = AutoModel) -> PreTrainedModel:
    """A random model."""
    torch.manual_seed(0)
    name, sizes = config
    model = loader.from_config(getattr(transformers, name)(**sizes), attn_implementation="eager")
    model.config.use_cache = False
    return model.eval().requires_grad_(False)


def test_the_families_that_an_error_names_are_those_that_are_tested() -> None:
    assert set(DECODERS) == set(TESTED_FAMILIES)


@pytest.mark.parametrize("family", DECODERS)
def test_a_tested_family_trains_every_adapter_and_padding_changes_nothing(family: str) -> None:
    decoder = made(DECODERS[family])
    assert decoder.config.model_type == family
    classifier = Classifier(decoder, None, 2, echo=True).eval()
    ids, mask = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    torch.testing.assert_close(classifier(ids, mask).logits[1:], classifier(ids[1:, :2], mask[1:, :2]).logits)
    linear = classifier.backbone.linear_names
    adapted = with_adapter(classifier, Lora(r=2, alpha=4, dropout=0.0, layers=2)).train()
    weights = trained_weights(adapted)
    for name, weight in weights.items():
        if "lora_B" in name:  # zero at first, which would hide the gradient of A
            torch.nn.init.normal_(weight, std=0.1)
    adapted(ids, mask, labels=torch.tensor([0, 2])).loss.backward()
    assert not [name for name, weight in weights.items() if not weight.grad.abs().max() > 0]
    assert len(weights) == 2 * len(linear) + 2


@pytest.mark.parametrize("lora_layers", [2, 3])
@pytest.mark.parametrize("family", UNFIT)
def test_any_other_is_refused_in_one_line_that_names_it(family: str, lora_layers: int) -> None:
    decoder = made(UNFIT[family])
    with pytest.raises(
        InputError, match=f"a base model of the type {family} can't be used .* take a decoder"
    ) as caught:
        Classifier(decoder, None, lora_layers, echo=True)
    assert "\n" not in str(caught.value) and "llama" in str(caught.value)


def test_an_encoder_is_no_base_model_for_the_zero_shot_baseline() -> None:
    with pytest.raises(UnfitError, match="encoders can't be used yet"):
        refuse_encoder(made(UNFIT["bert"], AutoModelForCausalLM))
    refuse_encoder(made(DECODERS["llama"], AutoModelForCausalLM))
