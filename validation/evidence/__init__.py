"""What was observed: every sample, versioned JSON, and the environment it was observed in."""
