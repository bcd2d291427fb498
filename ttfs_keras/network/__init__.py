"""What is true of any network: its graph, its inputs, which of its layers spike, replicas, folding into weights."""
