"""The soak: a real server under a mixed load for a long time, watched from outside. Nothing here judges speed."""
