"""The console command `finsentiment`. What is heavy is imported by the subcommand that needs it."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from finsentiment.errors import InputError, run_main
from finsentiment.llm.adapter import require_adapter

EXAMPLES = """\
examples:
  finsentiment check mine.csv
  finsentiment score "Profit rose by 12 %."
  finsentiment score news.csv --column headline -o scored.parquet
  tail -f headlines.txt | finsentiment score -
"""


def main(arguments: list[str] | None = None) -> None:
    """Run the command; `arguments` are those of the shell if None."""
    given = _parser().parse_args(arguments)
    run_main(lambda: given.run(given))


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="finsentiment",
        description="Read the sentiment of financial sentences with a fine-tuned language model.",
        epilog=EXAMPLES,
        formatter_class=form,
    )
    parser.add_argument("--version", action="version", version=f"finsentiment {version('finsentiment')}")
    commands = parser.add_subparsers(title="commands", required=True)
    score = commands.add_parser(
        "score",
        help="score a sentence, a file, or lines from standard input",
        description="Score a sentence, a file (with -o), or lines from standard input (-).",
        epilog=EXAMPLES,
        formatter_class=form,
    )
    score.add_argument("text", help="a sentence; with -o a CSV or Parquet file; - for standard input, a text a line")
    score.add_argument("-o", "--output", metavar="FILE", help="where the scored file goes: .csv or .parquet")
    score.add_argument("--column", default="headline", help="column of the file that holds the text (headline)")
    which = score.add_mutually_exclusive_group()
    which.add_argument("--adapter", default="models/adapter", metavar="DIR", help="the fine-tuned model (%(default)s)")
    which.add_argument("--stage", metavar="STAGE", help="the adapter that is registered for it, such as prod")
    score.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"), help="where to compute")
    score.add_argument("--threads", default=2, type=_count, help="CPU threads (%(default)s)")
    score.add_argument("--batch-tokens", default=512, type=_count, help="tokens per forward pass (%(default)s)")
    score.set_defaults(run=_score)
    check = commands.add_parser(
        "check",
        help="look at a corpus, or at news and prices, before anything runs",
        description="Say what a file of labelled sentences or a folder of news and prices holds, which parameters to "
        "use it with, and what is doubtful. Nothing is changed.",
    )
    check.add_argument("path", help="a file of labelled sentences, or a folder with news and prices")
    check.set_defaults(run=_check)
    daily = commands.add_parser(
        "daily",
        help="fetch news and prices, score them, build and export features",
        description="Fetch what is new, keep it in the store, score it, build the features up to the coming session, "
        "check that those of past sessions have not changed, and export them.",
    )
    daily.add_argument("--config", default="daily.yaml", metavar="FILE", help="the settings (%(default)s)")
    past = daily.add_mutually_exclusive_group()
    past.add_argument("--as-of", metavar="DATE", help="fetch nothing: rebuild what was known at that day's end (UTC)")
    past.add_argument("--no-fetch", action="store_true", help="ask no source: build and export what the store has")
    daily.add_argument(
        "-o", "--output", default="as-of", metavar="DIR", help="with --as-of: where it goes (%(default)s)"
    )
    daily.add_argument("--accept", action="append", default=[], metavar="TICKER", help="take its changed past prices")
    daily.add_argument("--changed", action="store_true", help="write features although those of the past moved")
    daily.set_defaults(run=_daily)
    export = commands.add_parser(
        "export",
        help="write features for other programs, or check such a file",
        description="Write a table of features as sentiment_daily.parquet, as wide monthly tables and as a factor for "
        "alphalens; or check whether a file keeps the contract.",
    )
    export.add_argument("features", nargs="?", default="data/features/features.parquet", help="(%(default)s)")
    export.add_argument("-o", "--output", default="export", metavar="DIR", help="where the files go (%(default)s)")
    export.add_argument("--settings", default="params.yaml", metavar="FILE", help="params.yaml, or a daily.yaml")
    export.add_argument("--adapter", metavar="DIR", help="the fine-tuned model (models/adapter, or that of daily.yaml)")
    export.add_argument("--check", metavar="FILE", help="say whether this file keeps the contract, and write nothing")
    export.set_defaults(run=_export)
    model = commands.add_parser(
        "export-model",
        help="write a fine-tuned encoder as a folder that transformers reads without this project",
        description="Write a fine-tuned encoder for AutoModelForSequenceClassification and pipeline: weights merged, "
        "temperature folded in, tokenizer and card beside them.",
    )
    model.add_argument("folder", metavar="DIR", help="a new folder")
    model.add_argument("--adapter", default="models/adapter", metavar="DIR", help="the fine-tuned model (%(default)s)")
    model.add_argument("--onnx", action="store_true", help="write model.onnx too")
    model.set_defaults(run=_export_model)
    return parser


def _export_model(given: argparse.Namespace) -> None:
    require_adapter(given.adapter)
    from finsentiment.llm.export import export_model

    apart = export_model(given.adapter, given.folder, given.onnx)
    print(f"{given.folder}: written; its logits are those of {given.adapter} (largest difference {apart:.1g})")


def _daily(given: argparse.Namespace) -> None:
    with _extras("daily", "pipeline,daily"):
        from finsentiment.daily.command import rebuild, run_daily
    if given.as_of is None:
        run_daily(given.config, given.accept, given.changed, not given.no_fetch)
    elif given.accept or given.changed:
        raise InputError("--as-of writes into a folder of its own: leave out --accept and --changed")
    else:
        rebuild(given.config, given.as_of, given.output)


def _export(given: argparse.Namespace) -> None:
    with _extras("export", "pipeline"):
        from finsentiment.daily.command import check_export, export_file
    if given.check is None:
        export_file(given.features, given.output, given.settings, given.adapter)
    else:
        check_export(given.check)


def _check(given: argparse.Namespace) -> None:
    with _extras("check", "pipeline"):
        from finsentiment.check.look import look_at
    found = look_at(given.path)
    print(found)
    if found.error:
        sys.exit(1)


@contextlib.contextmanager
def _extras(command: str, extras: str) -> Iterator[None]:
    """Say which extras of the package a command needs, where what it imports is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(f"{command} needs {error.name}: pip install 'finsentiment[{extras}]'") from None


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def _score(given: argparse.Namespace) -> None:
    if given.stage is not None:
        from finsentiment.llm.registry import STAGE, adapter_folder

        given.adapter = adapter_folder(f"{STAGE}{given.stage}")
    # What files can tell is said before `load_reader` imports PyTorch, which takes seconds.
    if given.text == "-":
        _score_lines(given)
    elif given.output:
        _score_file(given)
    elif os.path.isfile(given.text):  # a sentence may be too long for a name of a file
        raise InputError(f"{given.text} is a file: say with -o where its scores go, such as -o scored.parquet")
    else:
        require_adapter(given.adapter)
        from finsentiment import load_reader

        row = load_reader(given.adapter, given.device, given.threads).read([given.text]).iloc[0]
        p = ", ".join(f"{name.removeprefix('p_')} {row[name]:.3f}" for name in row.index if name.startswith("p_"))
        print(f"{row['label']}  {row['score']:+.3f}  ({p})")


def _score_lines(given: argparse.Namespace) -> None:
    """One JSON object for each line, as soon as it is there; a line without text has no label."""
    require_adapter(given.adapter)
    from finsentiment import load_reader

    reader = load_reader(given.adapter, given.device, given.threads)
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            text = line.decode().strip()
        except UnicodeDecodeError:
            raise InputError(f"standard input, line {number}: not UTF-8") from None
        found = reader.read([text]).iloc[0].to_dict() if text else {"label": None, "score": None}
        print(json.dumps({"text": text, **found}, ensure_ascii=False), flush=True)


def _score_file(given: argparse.Namespace) -> None:
    """The rows of a table with label, score and probabilities beside them."""
    source, target = Path(given.text), Path(given.output)
    if target.suffix not in (".csv", ".parquet"):
        raise InputError(f"-o {target}: expected a name that ends in .csv or .parquet")
    if target.is_dir():
        raise InputError(f"-o {target}: this is a folder, expected a name for a file")

    from finsentiment.files import write_csv, write_table
    from finsentiment.intake.columns import Columns
    from finsentiment.intake.tables import also, read_user_table, where
    from finsentiment.labels import P_COLUMNS
    from finsentiment.text import clean_texts

    table = read_user_table(source, Columns((given.column,), parameter="--column", others=True)).rows
    texts, _ = clean_texts(table[given.column])
    if empty := int((texts == "").sum()):
        first = where(source, table, table.index[texts == ""][0])
        raise InputError(f"{first}: {given.column} is empty{also(empty)}; take such rows out")
    if taken := [name for name in ("label", "score", *P_COLUMNS) if name in table]:
        raise InputError(f"{source} has a column {taken[0]} already, where the result would go; give it another name")
    require_adapter(given.adapter)

    from finsentiment.llm.reader import labelled
    from finsentiment.readers.fine_tuned import score_texts

    p = score_texts(texts, given.adapter, given.threads, given.batch_tokens, given.device)
    scored = table.reset_index(drop=True).join(labelled(p.loc[texts].to_numpy()))
    (write_csv if target.suffix == ".csv" else write_table)(target, scored)
    print(f"{target}: {len(scored)} rows", file=sys.stderr)


if __name__ == "__main__":
    main()
