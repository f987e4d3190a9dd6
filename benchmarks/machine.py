"""What the other benchmarks say about the machine, and how they compare with a budget."""

from __future__ import annotations

import os
import platform


def facts() -> str:
    """Return one line: cores, Python, system and load, without which a number says little."""
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"
        f" {platform.machine()}, load {load:.1f}"
    )


def against(name: str, value: float, budget: float, unit: str, *, note: str = "") -> str:
    """Return one line: what was measured, what it may be, and their ratio."""
    verdict = "within" if value <= budget else "OVER"
    tail = f"  ({note})" if note else ""
    return (
        f"{name:34} {value:8.3f} {unit:3} budget {budget:g} {unit}, ratio {value / budget:.2f},"
        f" {verdict}{tail}"
    )


def at_least(name: str, value: float, aim: float, unit: str) -> str:
    """Return one line: what was measured, what it should be at least, and their ratio."""
    verdict = "reached" if value >= aim else "SHORT"
    tail = f"aim {aim:g} {unit}, ratio {value / aim:.2f}, {verdict}"
    return f"{name:34} {value:8.3f} {unit:3} {tail}"
