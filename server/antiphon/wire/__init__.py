"""The codecs that adapters share: bytes and JSON of providers to the contract's messages and back. Never a provider's settings, never policy."""
