"""The form of everything that is written to or read from JSON and TOML."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """An immutable, validated value: unknown fields, NaN and infinity are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)
