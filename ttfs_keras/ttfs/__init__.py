"""Time-to-first-spike layers; spikes travel between them as lead times `t_max - t`."""
