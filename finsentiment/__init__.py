"""Financial sentiment from a small fine-tuned language model, and what it is worth for return forecasts."""
