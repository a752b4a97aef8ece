"""What follows: a verdict for each reading, a pure function of evidence, claims and rules."""
