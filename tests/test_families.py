"""Families of base models, tiny and random: each works or is refused in one line that names it."""

from __future__ import annotations

import pytest
import torch
import transformers
from transformers import AutoModel, PreTrainedModel

from finsentiment.errors import InputError
from finsentiment.llm.classifier import Classifier, trained_weights, with_adapter
from finsentiment.llm.families import TESTED_DECODERS, TESTED_ENCODERS, reads_both_ways
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
ENCODERS = {
    "mpnet": ("MPNetConfig", USUAL | TOKENS),
    "bert": ("BertConfig", USUAL),
    "roberta": ("RobertaConfig", USUAL | TOKENS),
    "xlm-roberta": ("XLMRobertaConfig", USUAL | TOKENS),
    "deberta-v2": (
        "DebertaV2Config",
        USUAL
        | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16, "type_vocab_size": 0},
    ),
    "electra": ("ElectraConfig", USUAL | {"embedding_size": 16}),
    "modernbert": ("ModernBertConfig", USUAL | TOKENS | {"cls_token_id": 1, "sep_token_id": 2}),
    "distilbert": ("DistilBertConfig", {"vocab_size": 64, "dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 64}),
}
BOTH = DECODERS | ENCODERS
UNFIT = {
    "mpt": ("MptConfig", {"vocab_size": 64, "d_model": 32, "n_layers": 3, "n_heads": 4, "max_seq_len": 64}),
    "gpt_neo": (
        "GPTNeoConfig",
        {"vocab_size": 64, "hidden_size": 32, "num_layers": 3, "num_heads": 4, "max_position_embeddings": 64}
        | {"attention_types": [[["global", "local", "global"], 1]]},
    ),
    "mamba": ("MambaConfig", {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 3}),
    "albert": ("AlbertConfig", USUAL | {"embedding_size": 16}),
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
    assert set(DECODERS) == set(TESTED_DECODERS) and set(ENCODERS) == set(TESTED_ENCODERS)


@pytest.mark.parametrize("family", BOTH)
def test_a_tested_family_trains_every_adapter_and_padding_changes_nothing(family: str) -> None:
    base = made(BOTH[family])
    assert base.config.model_type == family
    classifier = Classifier(base, None, 2, echo=True).eval()
    assert classifier.backbone.encoder == (family in ENCODERS) and classifier.backbone.echo == (family in DECODERS)
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
    assert len([name for name in weights if ".head." not in name]) == 2 * len(linear)


@pytest.mark.parametrize("lora_layers", [2, 3])
@pytest.mark.parametrize("family", UNFIT)
def test_any_other_is_refused_in_one_line_that_names_it(family: str, lora_layers: int) -> None:
    base = made(UNFIT[family])
    with pytest.raises(
        InputError, match=f"a base model of the type {family} can't be used .* take a decoder"
    ) as caught:
        Classifier(base, None, lora_layers, echo=True)
    assert "\n" not in str(caught.value) and "llama" in str(caught.value)


@pytest.mark.parametrize("lora_layers", [1, 2, 3])
@pytest.mark.parametrize("family", ENCODERS)
def test_an_encoder_in_two_parts_gives_what_it_gives_as_a_whole(family: str, lora_layers: int) -> None:
    ids, mask = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    whole = made(ENCODERS[family])(input_ids=ids, attention_mask=mask).last_hidden_state
    backbone = Classifier(made(ENCODERS[family]), None, lora_layers, echo=False).eval().backbone
    parts = backbone(ids, mask, backbone.lower_states(ids, mask))
    torch.testing.assert_close(parts[mask.bool()], whole[mask.bool()])
    shallow = Classifier(made(ENCODERS[family]), 2, 1, echo=False).eval().backbone
    assert shallow(ids, mask).shape == whole.shape and not torch.equal(shallow(ids, mask), whole)


def test_an_encoder_is_told_from_a_decoder_by_what_it_does() -> None:
    assert all(reads_both_ways(made(config)) for config in ENCODERS.values())
    assert not any(reads_both_ways(made(config)) for config in DECODERS.values())
