"""SQLite as the house needs it: several processes write, and each gets its turn soon."""
