"""Say whether this run reproduced the published figures: run as `make verify` after `make repro`.

Compares metrics/ with the commit. The same kind of processor must give the same bytes. Another kind rounds
differently: there each figure may differ by a tolerance, which was measured (docs/method.md, "Same bytes"). The last
line says: reproduced, or not and where. Exits with 1 if not.

`--record` writes down the kind of processor that made the figures, results/processor.txt, before they are committed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finsentiment.errors import InputError, run_main
from finsentiment.files import write_text
from finsentiment.llm.runtime import describe_processor, start_runtime
from stages.parameters import all_params

PROCESSOR = Path("results/processor.txt")
TOLERANCES = (
    # what no language model has a part in must be equal
    (r"^(prepare|split|build_features)\.|^baseline\.(tfidf|lexicon|majority)\.|^evaluate\.target\.accuracy$", 0.0),
    (r"^backtest\.base\.|\.beaten$", None),
    (r"\.(sentences|support|count|counts\..*|news|texts|trials|sessions|tokens_train|trainable_parameters)$", 0.0),
    (r"_p$|\.p(_hurts)?$|per_class|per_agreement|best_epoch", None),
    (r"^baseline\.zero_shot.*\.(accuracy|macro_f1)|^evaluate\.(against\.zero_shot|best_zero_shot)", 0.13),
    (r"^evaluate\.(accuracy|macro_f1|against)|^finetune\.validation\.(accuracy|macro_f1)", 0.02),
    (r"\.(ece|ece_before|ece_after|log_loss|log_loss_before|log_loss_after)$", 0.06),
    (r"\.temperature$", 0.7),
    (r"^score_news\.mean\.", 0.12),
    (r"^backtest\.(ic|gain|gain_over)\..*\.(mean|low|high)$", 0.01),
    (r"^backtest\.gain_by\..*\.(mean|low|high)$", 0.025),
    (r"^backtest\..*\.hac_t$", 1.8),
    (r"^backtest\.(questions|profile)\..*_bps$", 2.5),
    (r"^backtest\.questions\.pays\.", 2.0),
    (r"^backtest\.profile\.spread\.", 9.0),
    (r"^backtest\.(questions|profile)\.", 0.02),
    (r"^backtest\.portfolio\..*\.sharpe(_low|_high)?$", 1.0),
    (r"^backtest\.portfolio\..*\.(gross_return|net_return|max_drawdown|turnover)$", 0.11),
    (r"^backtest\.portfolio\..*\.break_even_bps$", 2.7),
    (r"^backtest\.deflated_sharpe$", 0.2),
)
"""How far a figure may lie from the published one on another kind of processor, by the first pattern that fits.

About twice the largest difference found between two pairs of processors; docs/method.md has them.
Chances (p) and figures of single classes move more than they say: they are shown and not judged."""
WORDS = ("backtest.verdict", *(f"backtest.questions.{name}.answer" for name in ("improves", "informative", "pays")))
"""What is no number and must be equal."""


def flattened(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every leaf of a metrics tree under its dotted name."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flattened(item, f"{name}.{key}")
    else:
        yield name, value


def tolerance_of(name: str) -> float | None:
    """The tolerance of a figure, None where it is not judged."""
    return next((tolerance for pattern, tolerance in TOLERANCES if re.search(pattern, name)), None)


def compare_figures(committed: dict[str, Any], found: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Lines for the figures that differ, and the names of those that differ by more than their tolerance.

    The verdict must be equal.
    """
    lines, outside = [], []
    for name in sorted(committed.keys() | found.keys()):
        before, now = committed.get(name), found.get(name)
        if before == now:
            continue
        tolerance = tolerance_of(name)
        if isinstance(before, (int, float)) and isinstance(now, (int, float)):
            judged = tolerance is not None and abs(now - before) > tolerance
        else:
            appeared = tolerance is not None and (before is None) != (now is None)
            judged = name in WORDS or appeared
        outside += [name] if judged else []
        allowed = "not judged" if tolerance is None else f"{tolerance:g}"
        lines.append(f"{name:<60} {before!s:>12} {now!s:>12}   {allowed}")
    return lines, outside


def committed_files() -> dict[str, bytes]:
    """The files of metrics/ as the commit has them, by path."""
    names = _git("ls-tree", "-r", "--name-only", "HEAD", "metrics/").decode().splitlines()
    return {name: _git("show", f"HEAD:{name}") for name in names}


def figures_of(files: dict[str, bytes]) -> dict[str, Any]:
    """All figures of the JSON files among `files`."""
    trees = {Path(name).stem: json.loads(content) for name, content in files.items() if name.endswith(".json")}
    return {name: value for stage, tree in trees.items() for name, value in flattened(tree, stage)}


def main() -> None:
    """Compare and say so."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="show every figure that differs")
    parser.add_argument("--record", action="store_true", help="write down this kind of processor")
    given = parser.parse_args()
    params = all_params()
    kind = describe_processor(start_runtime(params.device, params.threads))
    if given.record:
        write_text(PROCESSOR, kind + "\n")
        return
    if subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "params.yaml"]).returncode:
        raise InputError("params.yaml is not that of the commit: only the default run can be verified")
    before = committed_files()
    missing = [name for name in before if not Path(name).is_file()]
    if missing:
        raise InputError(f"{missing[0]} is missing: run `make repro` first")
    now = {name: Path(name).read_bytes() for name in before}
    changed = [name for name in before if before[name] != now[name]]
    published = PROCESSOR.read_text(encoding="utf-8").strip()
    print(f"published on: {published}\nthis machine: {kind}")
    if not changed:
        print(f"reproduced: all {len(before)} files of metrics/ are the same to the byte")
        return
    lines, outside = compare_figures(figures_of(before), figures_of(now))
    shown = lines if given.all else [line for line in lines if line.split()[0] in outside]
    print(f"{len(changed)} of {len(before)} files differ, {len(lines)} figures in them")
    if shown:
        print(f"{'figure':<60} {'published':>12} {'here':>12}   tolerance", *shown, sep="\n")
    if kind == published:
        sys.exit(f"not reproduced: the same kind of processor gave other bytes in {', '.join(changed)}")
    if outside:
        sys.exit(f"not reproduced: beyond the tolerance in {', '.join(outside)}")
    print("reproduced: every judged figure lies within its tolerance (another kind of processor rounds differently)")


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], capture_output=True)
    if done.returncode:
        raise InputError(f"git {arguments[0]}: {done.stderr.decode().strip()}; run this in a clone with its history")
    return done.stdout


if __name__ == "__main__":
    run_main(main)
