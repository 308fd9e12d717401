"""Language models: base models, zero-shot reading, the LoRA classifier, its training and use."""
