"""A language model small enough to fine-tune in a second, made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertConfig,
    Gemma3TextConfig,
    LlamaConfig,
    ModernBertConfig,
    MPNetConfig,
    PhiConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from finsentiment.files import sha256_folder
from finsentiment.llm.runtime import Runtime
from finsentiment.llm.saved import save_adapter
from finsentiment.llm.training import finetune_classifier
from finsentiment.params import Finetune, Model

SENTENCES = {
    "negative": ["profit fell", "sales slumped again", "the loss widened", "orders dropped sharply", "the firm warned"],
    "neutral": ["the firm met today", "a report is due", "the board has five members", "sales are reported in may"],
    "positive": ["profit rose", "sales jumped again", "the loss narrowed", "orders grew sharply", "the firm won"],
}

# Whatever the processor multiplies in: bfloat16 has eight bits, too few to see that two ways are the same.
IN_FLOAT32 = Runtime(torch.device("cpu"), torch.float32, 1)

ARCHITECTURES: dict[str, tuple[Any, dict[str, Any]]] = {
    "llama": (LlamaConfig, {"tie_word_embeddings": True}),
    "phi": (PhiConfig, {}),
    "qwen": (Qwen3Config, {"head_dim": 16}),
    "gemma": (Gemma3TextConfig, {"head_dim": 16, "sliding_window": 8, "sliding_window_pattern": 2}),
}


def make_model(folder: Path, words: list[str], architecture: str = "llama") -> Model:
    """A random model of three layers with a word-level tokenizer over `words`, saved in `folder`."""
    tokenizer = _word_level(words, ["<unk>", "<s>", "</s>"], "<unk>")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    config_class, special = ARCHITECTURES[architecture]
    return _saved(folder, AutoModelForCausalLM, config_class, fast, num_key_value_heads=2, **special)


ENCODERS: dict[str, tuple[Any, Any]] = {
    "bert with a head for masked words": (BertConfig, AutoModelForMaskedLM),
    "bert that reads sentiment": (BertConfig, AutoModelForSequenceClassification),
    "mpnet without a head": (MPNetConfig, AutoModel),
    "modernbert without a head": (ModernBertConfig, AutoModel),
}


def make_encoder(folder: Path, words: list[str], kind: str, **more: Any) -> Model:
    """A random encoder of three layers with a word-level tokenizer over `words`, saved in `folder`.

    `more` goes into its configuration.
    """
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = _word_level(words, special, "[UNK]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=128, **names)
    config_class, loader = ENCODERS[kind]
    return _saved(folder, loader, config_class, fast, pad_token_id=0, **more)


def _word_level(words: list[str], special: list[str], unknown: str) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(special_tokens=special, vocab_size=4000)
    tokenizer.train_from_iterator([*words, "positive negative neutral News : Answer N/A MASK"], trainer)
    return tokenizer


def _saved(folder: Path, loader: Any, config_class: Any, tokenizer: PreTrainedTokenizerFast, **more: Any) -> Model:
    """A random model of three layers and its tokenizer, saved."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4}
    config = config_class(vocab_size=len(tokenizer), max_position_embeddings=256, **sizes, **more)
    loader.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Model(spec=f"path:{folder}", sha256=sha256_folder(folder))


def corpus() -> pd.DataFrame:
    """Sentences of three classes that a tiny model can learn."""
    rows = [(sentence, label) for label, sentences in SENTENCES.items() for sentence in sentences]
    return pd.DataFrame(rows, columns=["text", "label"])


def make_adapter(folder: Path, model: Model) -> None:
    """A tiny model fine-tuned on these sentences, saved in `folder`."""
    recipe = Finetune.model_validate(
        {
            **{"method": "lora", "depth": None, "echo": True, "quantization": "none"},
            **{"learning_rate": 1e-2, "layer_decay": 1.0},
            **{"lora": {"r": 4, "alpha": 8, "dropout": 0.0, "layers": 2}, "head_learning_rate": 1e-2},
            **{"epochs": 4, "batch_size": 4, "gradient_accumulation": 1, "warmup_share": 0.1},
            **{"weight_decay": 0.01, "average": 0.9, "label_smoothing": 0.0, "max_tokens": 16, "patience": 4},
            "give_back_validation": False,
        }
    )
    trained = finetune_classifier(corpus(), corpus(), model, recipe, seed=1, threads=1)
    save_adapter(trained.tuned, folder, trained.description)
    trained.done()
