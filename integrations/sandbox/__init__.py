"""Stand-in partners: shops, a stock system, a warehouse, carriers that send real signed HTTP, and misbehave on command.

They know the hub only by its addresses: no database, no models. See docs/sandbox.md.
"""
