"""How the planted kernels fared: one by one, and counted."""

from validation.record import Record


class Trial(Record):
    """One planted kernel: whether it was caught by the check or gate that ought to, and what was said."""

    name: str
    by: str
    caught: bool
    message: str = ""


class Trials(Record):
    """All planted kernels as the suite of the `sources` digest caught them, or did not, on the day `tried`."""

    sources: str
    tried: str
    faults: tuple[Trial, ...]
    cheats: tuple[Trial, ...]

    def counted(self, sources: str) -> "PlantedCount":
        """Returns the counts, beside whether they were made with the suite of the digest `sources`."""
        return PlantedCount(
            faults=len(self.faults),
            faults_caught=sum(one.caught for one in self.faults),
            cheats=len(self.cheats),
            cheats_caught=sum(one.caught for one in self.cheats),
            missed=tuple(one.name for one in (*self.faults, *self.cheats) if not one.caught),
            tried=self.tried,
            these_sources=self.sources == sources,
        )


class PlantedCount(Record):
    """How many broken kernels (faults) and dishonest ones (cheats) were planted, and how many caught.

    `tried` is the day (YYYY-MM-DD); without `these_sources` the suite or a planted kernel was changed since.
    """

    faults: int
    faults_caught: int
    cheats: int
    cheats_caught: int
    missed: tuple[str, ...] = ()
    tried: str
    these_sources: bool

    @property
    def sentence(self) -> str:
        """How many were caught, in words."""
        of = f"{self.faults_caught} of {self.faults} planted faults, {self.cheats_caught} of {self.cheats} cheats"
        return f"caught {of} by {'this' if self.these_sources else 'an earlier'} build (tried {self.tried})"
