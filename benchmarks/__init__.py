"""Speed against what people would use instead, and recipes compared on validation sentences."""
