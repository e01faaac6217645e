"""The order board: one table of orders, looked at, filtered, sorted, counted, exported and acted on."""
