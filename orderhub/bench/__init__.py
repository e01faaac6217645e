"""The measurements of docs/benchmarks.md, each against real servers that it starts and ends itself."""
