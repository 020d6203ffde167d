"""The benchmarks: that they measure every row, and report what they measured."""
