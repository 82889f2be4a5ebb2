"""The process and its machine: cores, BLAS's threads, memory, what is installed."""
