"""What it is run on: named shapes, seeded inputs, routing distributions."""
