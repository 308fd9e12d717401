"""Financial PhraseBank (Malo et al. 2014), from the model hub or as a zip."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import zipfile
import zlib

import pandas as pd

from finsentiment.corpus.cleaning import Checked, check_rows
from finsentiment.errors import InputError
from finsentiment.files import read_input

# The four nested files of Financial PhraseBank v1.0 (Malo et al. 2014) by least agreement in percent, and the
# SHA-256 of each: pinned here and not beside the address, so that a zip from anywhere meets the same check.
PHRASEBANK = {
    50: ("Sentences_50Agree.txt", "bb1b4df6de05d50b146f87a9d4d024b69f947066445f2384f014c3564c1612c8"),
    66: ("Sentences_66Agree.txt", "725adb1de7d33977b0c2f63c33d5ad60e3c623b916856e18663915dfe47b6981"),
    75: ("Sentences_75Agree.txt", "a7ca39fb9dc60aed1c323ee635494aed4acdfc05e0349a9e74367502325303a4"),
    100: ("Sentences_AllAgree.txt", "5fb370b3005b9a2759f708849a691ad2e4d2593d4c995c1afde229398a516594"),
}


def read_phrasebank(path: str, agreement: int) -> Checked:
    """Read the PhraseBank file of sentences with at least `agreement` percent.

    `path` is the zip, or a `.json` file that says where on the hub it is (the arguments of `hf_hub_download`).
    The column `agreement` is that of the strictest file that has the row.
    """
    archive = fetch_from_hub(path) if path.endswith(".json") else path
    levels: dict[tuple[str, ...], float] = {}
    for level, (name, sha256) in PHRASEBANK.items():
        # Latin-1, CR LF, one `sentence@label` a line; a sentence may hold an @ itself
        lines = _member(archive, name, sha256).decode("latin-1").splitlines()
        rows = [tuple(line.rsplit("@", 1)) for line in lines]
        levels |= dict.fromkeys(rows, level / 100)
        if level == agreement:
            chosen = pd.DataFrame(rows, columns=["text", "label"], index=pd.RangeIndex(1, len(rows) + 1, name="line"))
    chosen["agreement"] = [levels[row] for row in zip(chosen["text"], chosen["label"], strict=True)]
    return check_rows(chosen, f"{archive}: {PHRASEBANK[agreement][0]}")


def fetch_from_hub(pin: str) -> str:
    """Path of the file that the pin file names, in the hub's own cache; downloaded if it isn't there yet."""
    from huggingface_hub import hf_hub_download  # here, because only this source needs it
    from huggingface_hub.errors import HTTPError
    from huggingface_hub.utils import logging

    try:
        content = json.loads(read_input(pin))
        where = {name: content[name] for name in ("repo_id", "repo_type", "revision", "filename")}
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{pin}: expected a JSON object with repo_id, repo_type, revision and filename") from None
    logging.set_verbosity_error()  # its warnings on every retry, which the error below sums up
    try:
        return hf_hub_download(**where)
    except (HTTPError, OSError, ValueError) as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(
            f"{where['filename']} of {where['repo_id']} at revision {where['revision']} cannot be had from the Hugging "
            f"Face hub ({type(error).__name__}); try again with a connection, or put the zip anywhere and set "
            "corpus.path to it, or set corpus.source=sample and corpus.path=data/sample/sentences.csv"
        ) from None


def _member(archive: str, name: str, sha256: str) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(read_input(archive))) as file:
            content = file.read(f"FinancialPhraseBank-v1.0/{name}")
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError):
        raise InputError(
            f"{archive}: not the zip of Financial PhraseBank v1.0, expected FinancialPhraseBank-v1.0/{name} in it; "
            "correct corpus.path, or take the file away and download it again"
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise InputError(f"{archive}: {name} has SHA-256 {found}, expected {sha256}; download the zip again")
    return content
