"""Texts to scores: the fine-tuned model, and the readers it is compared with."""
