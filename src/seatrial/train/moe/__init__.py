"""A causal language model with routed experts, shared between ranks by all-to-all. It measures its own routing."""
