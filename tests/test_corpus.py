"""Sources, cleaning, twins and what is reported of a corpus."""

from __future__ import annotations

import http.server
import io
import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsentiment.corpus import cleaning, description, twins
from finsentiment.corpus.load import load_corpus
from finsentiment.corpus.sources import phrasebank
from finsentiment.corpus.sources.csv_file import read_sentences
from finsentiment.errors import InputError
from finsentiment.files import sha256_file
from finsentiment.labels import LABELS
from finsentiment.params import Corpus

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data/sample/sentences.csv"
SHARED = ROOT.parent / "shared/data"
PHRASEBANK = SHARED / "FinancialPhraseBank-v1.0.zip"
needs_phrasebank = pytest.mark.skipif(not PHRASEBANK.exists(), reason=f"{PHRASEBANK} is not here")


def read(tmp_path, content: str | bytes, required=("text", "label")) -> pd.DataFrame:
    path = tmp_path / "mine.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_sentences(str(path), required).rows


def corpus(source: str, path: object, **given: object) -> Corpus:
    plain = {"columns": {}, "labels": {}, "encoding": None, "delimiter": None, "agreement": 50}
    return Corpus(source=source, path=str(path), **plain | given)


def rows(*texts_and_labels: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(texts_and_labels, columns=["text", "label"])


ONE_OF_EACH = (("Profit fell.", "negative"), ("The board met.", "neutral"), ("Profit rose.", "positive"))


# --- cleaning


def test_exact_duplicates_become_one_row_and_conflicting_ones_none():
    twice = (("Profit rose.", "positive"), ("It sold a unit.", "neutral"), ("It sold a unit.", "positive"))
    raw = rows(*ONE_OF_EACH, *twice)
    table, refused = cleaning.clean_corpus(raw, "csv", "mine.csv")
    assert refused == {"exact_duplicate": 1, "conflicting_labels": 2}
    assert sorted(table["text"]) == ["Profit fell.", "Profit rose.", "The board met."]


def test_of_exact_duplicates_the_one_most_agreed_on_stays():
    raw = rows(*ONE_OF_EACH, *ONE_OF_EACH[2:], *ONE_OF_EACH[2:])
    table, _ = cleaning.clean_corpus(raw.assign(agreement=[0.5, 0.5, None, 0.6, 0.9]), "csv", "mine.csv")
    assert table.set_index("text")["agreement"]["Profit rose."] == 0.9


def test_the_key_of_a_sentence_is_the_hash_of_its_text():
    table, _ = cleaning.clean_corpus(rows(*ONE_OF_EACH), "csv", "mine.csv")
    # printf 'Profit rose.' | sha256sum
    assert table.set_index("text")["sentence_id"]["Profit rose."] == "1f5d8c8397edd423"
    assert table["sentence_id"].is_monotonic_increasing


@settings(deadline=None, max_examples=15)
@given(st.lists(st.sampled_from([*ONE_OF_EACH, ("Profit rose.", "neutral")])), st.randoms())
def test_rows_in_are_rows_out_and_refused_and_their_order_does_not_matter(more, random):
    raw = [*ONE_OF_EACH[:2], ("Sales rose.", "positive"), *more]
    try:
        table, refused = cleaning.clean_corpus(rows(*raw), "csv", "mine.csv")
    except InputError as error:
        assert "no sentence is labelled" in str(error)
        return
    assert len(raw) == len(table) + sum(refused.values())
    random.shuffle(raw)
    pd.testing.assert_frame_equal(cleaning.clean_corpus(rows(*raw), "csv", "mine.csv")[0], table)


# --- CSV


def test_the_sample_corpus_has_3584_sentences_and_nothing_to_refuse():
    table, refused = cleaning.clean_corpus(load_corpus(corpus("sample", SAMPLE)).rows, "sample", "")
    assert table["label"].value_counts().to_dict() == {"neutral": 1362, "positive": 1139, "negative": 1083}
    assert refused == {"exact_duplicate": 0, "conflicting_labels": 0}


def test_no_sentence_of_the_sample_is_a_twin_of_a_headline_or_shares_its_template():
    """The simulated market's headlines show how well unseen news is read: they are frozen, and nothing learns them."""
    file = ROOT / "data/sample/headlines.csv"
    assert sha256_file(file) == "4c24e2412a7ae4b97b02966cf2d95d095527268bf357d4f5fe19f6ff0d4af47a"
    headlines = [_words(line.replace("{company}", "")) for line in pd.read_csv(file)["headline"]]
    runs = {run for words in headlines for run in _runs(words)}
    for text in pd.read_csv(SAMPLE)["text"]:
        words = _words(text)
        assert not runs & _runs(words), f"four words in a row of {text!r} stand in a headline"
        likeness = max(len({*words} & {*other}) / len({*words} | {*other}) for other in headlines)
        assert likeness < 0.35, f"{text!r} is like a headline"


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _runs(words: list[str]) -> set[tuple[str, ...]]:
    """All runs of four words."""
    return {tuple(words[place : place + 4]) for place in range(len(words) - 3)}


def test_a_csv_may_have_a_byte_order_mark_other_columns_quotes_and_agreement(tmp_path):
    content = '\ufefflabel,topic,text,agreement\r\npositive,x,"A ""deal"",\r\n signed",0.75\r\nneutral,y,B,\r\n'
    table = read(tmp_path, content)
    assert table["text"].tolist() == ['A "deal", signed', "B"]
    assert table.index.tolist() == [2, 4]
    assert table["agreement"].tolist()[0] == 0.75 and table["agreement"].isna().tolist() == [False, True]
    assert cleaning.as_sentences(table, "csv").dtypes["agreement"] == "float64"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text,sentiment\nA,neutral\n", "line 1: no column 'label' (the header is 'text,sentiment'); expected text"),
        ("text,label,text\nA,neutral,B\n", "line 1: column 'text' is there more than once"),
        ("", "the file is empty"),
        (
            "text,label\nA,neutral\nB,Good\n",
            "line 3: label = 'Good', expected negative, neutral, positive; the file has",
        ),
        ("text,label\nA,neutral\nB,\n", "line 3: label = ''"),
        ("text,label\n \u200b,neutral\n", "line 2: text = '\\u200b', expected a sentence"),
        ("text,label,agreement\nA,neutral,5\n", "line 2: agreement = '5', expected a share from 0.5 to 1"),
        ("text,label,agreement\nA,neutral,0.5\nB,neutral,most\n", "line 3: agreement = 'most'"),
        ("text,label\nSales, in euros, rose,positive\n", "line 2: 4 values, expected 2"),
        ("text,label\nA\n", "line 2: 1 values, expected 2"),
        ('text,label\nA,neutral\n"B,neutral\nC,neutral\n', "line 3: not CSV"),
        (b"text,label\nA,neutral\nCaf\xe9,neutral\n", "line 3: byte 0xe9 at offset 24 is not UTF-8"),
        (
            "text,label\nA,neutral\n\xff\xff".encode("utf-16-le"),
            "the file is UTF-16-LE without its mark; save",
        ),
    ],
)
def test_a_bad_csv_is_refused_in_one_line_that_names_the_place(tmp_path, content, said):
    with pytest.raises(InputError) as error:
        read(tmp_path, content)
    assert said in str(error.value) and "mine.csv" in str(error.value) and "\n" not in str(error.value)


def test_all_bad_values_are_counted(tmp_path):
    with pytest.raises(InputError, match=r"line 2: label = 'x', .*\(2 such rows\)"):
        read(tmp_path, "text,label\nA,x\nB,y\nC,neutral\n")


def test_a_class_without_sentences_is_refused():
    with pytest.raises(InputError, match="mine.csv: no sentence is labelled neutral or positive"):
        cleaning.clean_corpus(rows(("Profit fell.", "negative")), "csv", "mine.csv")


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(InputError, match="nowhere.csv: cannot be read"):
        load_corpus(corpus("csv", "nowhere.csv"))


# --- PhraseBank


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"FinancialPhraseBank-v1.0/{name}", content)
    return buffer.getvalue()


@needs_phrasebank
def test_phrasebank_has_the_published_counts_and_the_highest_agreement_of_each_sentence():
    table = phrasebank.read_phrasebank(str(PHRASEBANK), 50).rows
    assert len(table) == 4846
    # one sentence is in the 66 % file twice and in the 75 % file once: both of its rows count as 0.75
    expected = {1.0: 2264, 0.75: 3453 - 2264 + 1, 0.66: 4217 - 3453 - 1, 0.5: 4846 - 4217}
    assert table["agreement"].value_counts().to_dict() == expected
    clean, refused = cleaning.clean_corpus(table, "phrasebank", "")
    assert refused == {"exact_duplicate": 6, "conflicting_labels": 4} and len(clean) == 4836


@needs_phrasebank
@pytest.mark.parametrize(("agreement", "count"), [(66, 4217), (75, 3453), (100, 2264)])
def test_phrasebank_agreement_chooses_the_file(agreement, count):
    table = phrasebank.read_phrasebank(str(PHRASEBANK), agreement).rows
    assert len(table) == count and table["agreement"].min() == agreement / 100


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no zip", "not the zip of Financial PhraseBank"),
        (zipped({}), "expected FinancialPhraseBank-v1.0/Sentences_50Agree.txt"),
        (zipped({"Sentences_50Agree.txt": b"A@neutral\r\n"}), "Sentences_50Agree.txt has SHA-256 "),
    ],
)
def test_a_zip_that_is_not_phrasebank_is_refused(tmp_path, content, said):
    (tmp_path / "mine.zip").write_bytes(content)
    with pytest.raises(InputError, match=said):
        phrasebank.read_phrasebank(str(tmp_path / "mine.zip"), 50)


def from_hub(tmp_path, **environment: str) -> subprocess.CompletedProcess:
    """Load PhraseBank by its pin file in a process of its own, since the hub's settings are read at import."""
    code = (
        "from finsentiment.corpus.sources.phrasebank import read_phrasebank; from finsentiment.errors import run_main\n"
        "run_main(lambda: print(len(read_phrasebank('data/sources/phrasebank.json', 50).rows)))"
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_") and "proxy" not in k.lower()}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=kept | {"HF_HOME": str(tmp_path / "hub"), **environment},
    )


def test_without_the_hub_the_message_says_what_is_missing_and_what_to_do(tmp_path):
    done = from_hub(tmp_path, HF_HUB_OFFLINE="1")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    for said in ("takala/financial_phrasebank", "set corpus.path to it", "corpus.source=sample"):
        assert said in done.stderr


@pytest.mark.parametrize("real", [False, pytest.param(True, marks=needs_phrasebank)])
def test_the_zip_comes_from_the_hub_at_the_pinned_revision_and_is_checked(tmp_path, real):
    pin = json.loads((ROOT / "data/sources/phrasebank.json").read_text())
    content = PHRASEBANK.read_bytes() if real else zipped({"Sentences_50Agree.txt": b"A@neutral\r\n"})
    asked = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append(self.path)
            self.send_response(200)
            self.send_header("ETag", '"1"')
            self.send_header("X-Repo-Commit", pin["revision"])
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()

        def do_GET(self):
            self.do_HEAD()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = from_hub(tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    fetched = {path for path in asked if "resolve" in path}
    assert fetched == {f"/datasets/{pin['repo_id']}/resolve/{pin['revision']}/{pin['filename']}"}
    if real:
        assert done.stdout == "4846\n", done.stderr
    else:
        assert done.returncode == 1 and "Sentences_50Agree.txt has SHA-256" in done.stderr


# --- twins


def test_views_part_digits_from_letters_and_mask_numbers():
    words, numbered, tokens = twins.views("Net sales: EUR131.5m, up 4 %.")
    assert words == {"net", "sales", "eur", "m", "up"}
    assert numbered == words | {"0"}
    assert tokens == numbered | {":", ",", "%", "."}


def test_the_same_sentence_with_other_numbers_is_a_twin():
    texts = ["Sales rose 5 % to EUR 1.2 mn in Q3 .", "Sales rose 31.4 % to EUR 12,000 mn in Q4 .", "Sales rose here ."]
    assert twins.twin_pairs(texts, 1.0) == [(0, 1)]


def test_jaccard_at_the_threshold_itself_is_a_twin():
    # eight common words of ten
    texts = ["a b c d e f g h i", "a b c d e f g h j"]
    assert twins.jaccard(*(twins.views(text)[0] for text in texts)) == 0.8
    assert twins.twin_pairs(texts, 0.8) == [(0, 1)] and twins.twin_pairs(texts, 0.81) == []


def test_texts_without_words_are_no_twins_unless_alike():
    assert twins.twin_pairs(["!", "?", "5 %", "7 %"], 0.8) == [(2, 3)]


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.95, 1.0])
def test_the_search_passes_over_a_pair_less_than_once_in_a_million(threshold):
    bands, size = twins.bands(threshold)
    assert bands >= 2 and bands * size <= twins.PERMUTATIONS
    assert (1 - threshold**size) ** bands <= 1e-6


def test_the_search_finds_on_the_sample_corpus_what_comparing_all_pairs_finds():
    # the sample has no twins, so each of these sentences gets one to three other words
    texts = pd.read_csv(SAMPLE)["text"].tolist()[::8]
    altered = [f"{text.rsplit(maxsplit=1 + i % 3)[0]} otherwise" for i, text in enumerate(texts)]
    brute = {(i, len(texts) + j) for i, j in twins.twins_across(texts, altered, 0.8)}
    found = {(i, j) for i, j in twins.twin_pairs(texts + altered, 0.8) if i < len(texts) <= j}
    assert len(brute) > 100 and found == brute


TOKENS = "profit sales rose fell 5 7.5 % . , EUR".split()
WORDS = st.lists(st.sampled_from(TOKENS), min_size=1, max_size=7).map(" ".join)


@settings(deadline=None, max_examples=50)
@given(st.lists(WORDS, max_size=8), st.lists(WORDS, min_size=1, max_size=8), st.sampled_from([0.5, 0.6, 0.8, 1.0]))
def test_comparing_all_pairs_agrees_with_the_definition(one, other, threshold):
    def twin(a, b):
        return any(twins.jaccard(x, y) >= threshold for x, y in zip(twins.views(a), twins.views(b), strict=True))

    expected = [(i, j) for i, a in enumerate(one) for j, b in enumerate(other) if twin(a, b)]
    assert twins.twins_across(one, other, threshold, chunk=3) == expected


def test_a_group_holds_twins_of_twins_and_bears_its_smallest_key():
    texts = ["a b c d e f g h i", "a b c d e f g h j", "b c d e f g h j k", "z"]
    assert twins.twin_pairs(texts, 0.8) == [(0, 1), (1, 2)]
    table = pd.DataFrame({"sentence_id": ["4", "2", "3", "1"], "text": texts})
    assert twins.twin_groups(table, 0.8).tolist() == ["2", "2", "2", "1"]


# --- what is reported


@pytest.fixture
def table() -> pd.DataFrame:
    sales = [("Sales rose 5 %", "positive"), ("Sales rose 6 %", "positive")]
    raw = rows(*sales, ("It met", "neutral"), ("Loss", "negative")).assign(agreement=[1.0, 0.75, 0.8, None])
    found, _ = cleaning.clean_corpus(raw, "csv", "")
    return found.assign(twin_group=twins.twin_groups(found, 0.8))


def test_the_description_counts_by_hand(table):
    found = description.describe_corpus(table)
    assert found["classes"]["positive"] == {"count": 2, "share": 0.5}
    assert (found["words"]["min"], found["words"]["median"], found["words"]["mean"]) == (1, 3, 11 / 4)
    assert found["twins"] == {"groups": 1, "sentences": 2, "largest_group": 2}
    assert found["agreement"] == {"50": 0, "66": 0, "75": 2, "100": 1, "unknown": 1}


def test_tables_of_the_description(table):
    assert description.class_table(table).to_dict("list") == {"label": list(LABELS), "count": [1, 1, 2]}
    lengths = {"words": [1, 2, 4], "label": list(LABELS), "count": [1, 1, 2]}
    assert description.length_table(table).to_dict("list") == lengths
    samples = description.sample_table(table, seed=1, each=1)
    assert samples["label"].tolist() == list(LABELS)
    pd.testing.assert_frame_equal(samples, description.sample_table(table, seed=1, each=1))


def test_the_picture_is_the_same_bytes_every_time(table):
    assert description.corpus_picture(table) == description.corpus_picture(table)


# --- public files, by parameters alone

SENTFIN = 'S No.,Title,Decisions,Words\n1,A up as B falls,"{""A"": ""positive"", ""B"": ""negative""}",5\n'
SENTFIN += (
    '2,C wins,"{""C"": ""positive""}",2\n3,D loses,"{""D"": ""negative""}",2\n4,E meets,"{""E"": ""neutral""}",2\n'
)
NUMBERED = {"0": "negative", "1": "positive", "2": "neutral"}


@pytest.mark.parametrize(
    ("content", "given", "texts"),
    [
        (
            'neutral,"Café, opened"\npositive,Profit rose\nnegative,Profit fell\n'.encode("latin-1"),
            {"columns": {"text": 2, "label": 1}, "encoding": "latin-1"},
            ["Café, opened", "Profit fell", "Profit rose"],
        ),
        (
            b"text,label\n$A down,0\n$B up,1\n$C flat,2\n",
            {"labels": NUMBERED},
            ["$A down", "$B up", "$C flat"],
        ),
        (
            b'{"input": "A fell", "output": "negative"}\n{"input": "B rose", "output": "positive"}\n'
            b'{"input": "C met", "output": "neutral", "instruction": "What is the sentiment?"}\n',
            {"columns": {"text": "input", "label": "output"}},
            ["A fell", "B rose", "C met"],
        ),
        (SENTFIN.encode(), {"columns": {"text": "Title", "label": "Decisions"}}, ["C wins", "D loses", "E meets"]),
    ],
    ids=["Kaggle's all-data.csv", "Twitter 0, 1, 2", "JSON lines with input and output", "SEntFiN"],
)
def test_public_files_load_by_parameters_alone(tmp_path, content, given, texts):
    (tmp_path / "public").write_bytes(content)
    found = load_corpus(corpus("csv", tmp_path / "public", **given))
    assert sorted(found.rows["text"]) == texts and set(found.rows["label"]) == set(LABELS)
    assert found.refused == ({"several_labels": 1} if content == SENTFIN.encode() else {})
