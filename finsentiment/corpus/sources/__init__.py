"""Labelled sentences from where users have them, one file per source."""
