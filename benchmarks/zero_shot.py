"""Zero-shot speed: lm-evaluation-harness against ours, on the same prompt, model and sentences.

Run as `python -m benchmarks.zero_shot` when data/splits/ is there (`dvc repro split`); it needs the package
`lm-eval` (`pip install -r benchmarks/requirements.txt`). Both are handed the same loaded model and answer the
same three-way question about each sentence by the likelihood of the answers, once without and once with shots.
The harness has its cache of logits on, so that answers of one token cost it one pass a sentence.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

try:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
except ImportError:
    raise SystemExit("error: lm-eval is not installed; pip install -r benchmarks/requirements.txt") from None

from finsentiment.errors import run_main
from finsentiment.files import read_table
from finsentiment.llm.base_models import load_untrained
from finsentiment.llm.runtime import start_runtime
from finsentiment.llm.zero_shot import read_zero_shot, with_shots
from finsentiment.params import Prompt
from stages.parameters import stage_params


def harness(model: HFLM, texts: list[str], prompt: Prompt) -> np.ndarray:
    """Log-likelihood of each answer by lm-evaluation-harness, (n, 3)."""
    before, after = prompt.template.split("{text}")
    requests = [
        Instance(request_type="loglikelihood", doc={}, arguments=(before + text + after, f" {answer}"), idx=number)
        for text in texts
        for number, answer in enumerate(prompt.answers)
    ]
    return np.array([score for score, _ in model.loglikelihood(requests, disable_tqdm=True)]).reshape(-1, 3)


def main() -> None:
    """Time both and compare what they say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=16, help="of the harness")
    given = parser.parse_args()
    params = stage_params("baseline")
    train, validation = (read_table(f"data/splits/{part}.parquet") for part in ("train", "validation"))
    texts = pd.concat([validation, train])["text"].head(given.sentences).tolist()
    model, tokenizer = load_untrained(params.model, start_runtime("cpu", params.threads))
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=given.batch_size, device="cpu")
    print(f"{len(texts)} sentences\n{'prompt':>6}{'shots':>7}{'harness s':>11}{'ours s':>9}{'faster':>8}{'same':>8}")
    for number, prompt in enumerate(params.baseline.prompts, 1):
        for shots in params.baseline.shots:
            filled = with_shots(prompt, train, shots, params.seed)
            start = time.perf_counter()
            theirs = harness(lm, texts, filled)
            middle = time.perf_counter()
            ours = read_zero_shot(model, tokenizer, texts, filled).raw
            end = time.perf_counter()
            same = (theirs.argmax(1) == ours.argmax(1)).mean()
            ratio = (middle - start) / (end - middle)
            print(f"{number:6}{shots:7}{middle - start:11.1f}{end - middle:9.1f}{ratio:8.1f}{same:8.1%}", flush=True)


if __name__ == "__main__":
    run_main(main)
