"""The daily job: fetch, keep, score, build features, export."""
