"""The framework-agnostic backend, an ordinary plugin of the core's own distribution."""
