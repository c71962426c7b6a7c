"""The adapters of providers, one module each. Never a retry, a breaker or any other policy, and none knows another."""
