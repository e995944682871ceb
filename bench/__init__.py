"""Figures, each by one command. Medians of interleaved runs; what is measured is said beside each number."""
