"""Trained models for other people's tools: the Hugging Face format (extra `simplify[hub]`)."""
