"""The tables of this room."""

from __future__ import annotations

from promises.backtest_runs import BacktestRun

__all__ = ["BacktestRun"]
