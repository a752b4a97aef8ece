"""What holds for every test."""

from hypothesis import settings

# A deadline would be a timed assert; the blob lets a failure of one machine run again on another.
settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")
