"""The verdicts that a report embeds beside those derived now from the evidence that it embeds."""

from validation.verdicts.verdict import Finding, Verdicts


def verdict_differences(stated: Verdicts, derived: Verdicts) -> list[str]:
    """Returns every difference in a sentence."""
    told: list[str] = []
    said = {_key(finding): finding for finding in stated.findings}
    found = {_key(finding): finding for finding in derived.findings}
    for key in [*found, *(key for key in said if key not in found)]:
        name = " / ".join(key)
        if key not in said:
            told.append(f"finding {name} follows from the evidence and is missing from verdicts.json.")
        elif key not in found:
            told.append(f"finding {name} stands in verdicts.json and does not follow from the evidence.")
        else:
            told += [
                f"finding {name}: verdicts.json says {field} = {getattr(said[key], field)!s:.80}; "
                f"the evidence gives {getattr(found[key], field)!s:.80}."
                for field in Finding.model_fields
                if getattr(said[key], field) != getattr(found[key], field)
            ]
    claims = {claim.id: claim for claim in derived.claims}
    told += [
        f"claim {claim.id}: verdicts.json says {claim.verdict}, “{claim.title:.60}”; the evidence and claims give "
        f"{claims[claim.id].verdict if claim.id in claims else 'no such claim'}."
        for claim in stated.claims
        if claims.get(claim.id) != claim
    ]
    if not told and stated != derived:
        told.append("verdicts.json differs from the verdicts derived now in the order or in its references.")
    return told


def worded_otherwise(stated: Verdicts, derived: Verdicts) -> list[str]:
    """Returns the findings that are the same in everything but their explanation, in sentences."""
    found = {_key(finding): finding for finding in derived.findings}
    return [
        f"finding {' / '.join(_key(said))}: “{said.explanation:.120}” instead of “{now.explanation:.120}”."
        for said in stated.findings
        if (now := found.get(_key(said))) is not None
        and said != now
        and said.model_copy(update={"explanation": now.explanation}) == now
    ]


def _key(finding: Finding) -> tuple[str, str, str]:
    return finding.claim, finding.reading, finding.machine
