"""Engines: what starts the workers of a shared run, on one machine or on many, and hands out the numbers of shards."""
