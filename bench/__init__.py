"""Benchmarks of cylstm and of other LSTM libraries on the CPU: see README.md."""
