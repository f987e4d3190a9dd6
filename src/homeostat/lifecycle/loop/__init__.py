"""The loop: what to do when a model's world changes, decided purely and replayable.

`decide` is the whole mind: state and event in, state and decisions out. The live loop
and `backtest` call the same functions; `replay` calls them once more and compares bytes.
"""
