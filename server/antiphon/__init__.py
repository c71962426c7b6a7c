"""Antiphon's server. Packages below this one each hold one floor of the house; nothing is built here: `app` composes it."""
