"""The event-driven simulator of TTFS networks."""
