"""Campaigns: the same fault many times over, under load, with a seed and committed figures."""
