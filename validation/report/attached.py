"""The files inside a report."""

from validation.report.material import Material


def attachments(material: Material) -> tuple[tuple[str, bytes, str], ...]:
    """Returns (name, bytes, description) of every file inside the PDF, in order."""
    several = len(material.evidence) > 1
    return (
        *(
            (
                f"evidence-{number}.json" if several else "evidence.json",
                file.data,
                "Everything that was observed, every sample included",
            )
            for number, file in enumerate(material.evidence, 1)
        ),
        ("verdicts.json", material.verdicts_data, "The verdicts, derived from the evidence and the claims"),
        *(
            (f"claims-{number}.toml", source.data, "The claims as they were read")
            for number, source in enumerate(material.claims, 1)
        ),
    )
