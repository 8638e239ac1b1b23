"""Classifiers on features: the probe, and references to hold it against."""
