"""Several processes that serve the same ports, and the one that keeps them: it starts, replaces and ends them. No call is served by that one."""
