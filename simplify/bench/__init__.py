"""Throughput: how fast blocks train, go forward and decode beside each other on this machine.

statistics   ratios paired by round, their spread, and whether they decide; no torch
rounds       the interleaving: who is timed when, for how long; no torch
record       what is kept of a bench, and where; no torch
work         what is timed: the trainer's own step, a forward pass, cached decoding
ceiling      the fastest matrix product of the device in the run's precision
memory       peak memory of training steps, each variant for itself
run          all of it together
"""
