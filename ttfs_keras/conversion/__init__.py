"""From trained ReLU models to exact TTFS networks."""
