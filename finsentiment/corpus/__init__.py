"""Labelled sentences: sources, cleaning, near-twins, splits."""
