"""Print what the last run found: run as `python -m scripts.summary` after `dvc repro`."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from finsentiment.errors import run_main
from finsentiment.files import read_json
from finsentiment.reporting.rows import doubts, used_in_words
from finsentiment.reporting.words import SYSTEMS, p_in_words
from stages.parameters import all_params

CAVEAT = """\
  This market is simulated: the effect of news is a parameter
  (market.simulated.drift). The run says nothing about real returns."""
WHERE = """\
Where to look next: dvc metrics show (every figure), dvc plots show (pictures),
  metrics/report.html (all of it on one page), metrics/evaluate/errors.csv (the
  worst errors)"""


def experiments_known() -> int:
    """How many experiments DVC keeps, of all commits; 0 where there is no DVC or no git to ask."""
    asked = [sys.executable, "-m", "dvc", "exp", "list", "--all-commits", "--name-only"]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    return len({line.strip() for line in found.stdout.splitlines() if line.strip()})


def tries_in_words(known: int, counted: int) -> str:
    """What to set where DVC knows of more experiments than the verdict counts; "" where it does not."""
    if known <= counted:
        return ""
    return (
        f"DVC knows of {known} experiment{'s' if known != 1 else ''}, and the answers count {counted} "
        "(backtest.trials_before). Each that looked at these returns before makes one good look more likely by "
        f"chance: to count them all, run dvc exp run -S backtest.trials_before={known}"
    )


def summary(metrics: Path, corpus: str, market: str, tries: str = "") -> str:
    """The result as text, at most 80 columns wide.

    Parameters
    ----------
    metrics
        Folder with `prepare.json`, `baseline.json`, `evaluate.json`, `backtest.json` and `backtest/verdict.txt`.
    corpus, market
        The values of `corpus.source` and `market.source`.
    tries
        What `tries_in_words` says.

    Raises
    ------
    InputError
        If one of the files is not there.
    """
    stages = ("prepare", "baseline", "evaluate", "backtest")
    prepared, baseline, ours, backtest = (read_json(metrics / f"{name}.json") for name in stages)
    lead, target, verdict = ours["best_zero_shot"], ours["target"], backtest["verdict"]
    p = p_in_words(lead["mcnemar_p"])
    simulated = market == "simulated"
    words = (metrics / "backtest/verdict.txt").read_text(encoding="utf-8").strip().splitlines()
    used = f"Data: {used_in_words(prepared['sentences'], prepared['market'])}"
    warnings = [f"warning: {doubt}" for doubt in (*doubts(prepared["market"]), ours.get("seen")) if doubt]
    return "\n".join(
        [
            *(textwrap.fill(line, 80, subsequent_indent="  ") for line in (used, *warnings)),
            f"Reading sentiment: corpus {corpus}, {ours['sentences']} test sentences",
            "                              accuracy  95 % interval     macro F1",
            _row("fine-tuned model", ours),
            *(_row(name, baseline[system]) for system, name in SYSTEMS.items()),
            f"  Lead over the base model    {lead['difference']:>+8.3f}  {lead['low']:+.3f} to {lead['high']:+.3f}  "
            f"McNemar p {p}",
            f"  Target accuracy {target['accuracy']:g}: {_met(target['met'], ours.get('seen', ''))}",
            "",
            f"Forecasting returns: {'simulated market' if simulated else f'market {market}'}",
            f"  VERDICT: {verdict}",
            *(textwrap.fill(line, 80, initial_indent="  ", subsequent_indent="  ") for line in words),
            *([CAVEAT] if simulated else []),
            *(["", textwrap.fill(tries, 80, subsequent_indent="  ", break_long_words=False)] if tries else []),
            "",
            WHERE,
        ]
    )


def _met(met: bool, seen: str) -> str:
    if seen:
        return "not judged, since the base model saw this corpus"
    return "met" if met else "not met"


def _row(name: str, scores: dict[str, Any]) -> str:
    interval = f"{scores['accuracy_low']:.3f} to {scores['accuracy_high']:.3f}"
    return f"  {name:<26}  {scores['accuracy']:>8.3f}  {interval:<16}  {scores['macro_f1']:.3f}"


def main() -> None:
    """Print the summary of `metrics/`."""
    params = all_params()
    tries = tries_in_words(experiments_known(), params.backtest.trials_before)
    print(summary(Path("metrics"), params.corpus.source, params.market.source, tries))


if __name__ == "__main__":
    run_main(main)
