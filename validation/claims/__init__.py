"""What was said: claims as data, their readings, and the arithmetic audit of their numbers."""
