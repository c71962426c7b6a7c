"""The dialect of OpenAI's chat completions, which many servers speak. Never an address, a credential or a provider's settings."""
