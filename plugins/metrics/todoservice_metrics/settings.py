"""What an operator may configure: `TODOSERVICE_METRICS__<FIELD>`."""

from itertools import pairwise
from typing import Annotated, Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class MetricsSettings(BaseModel):
    """Who may read the metrics, and how finely durations are told apart."""

    token: Annotated[SecretStr | None, Field(min_length=16)] = None
    """What the scraper sends as a bearer token (RFC 6750)."""
    public: bool = False
    """Answer whoever asks: for a service that only the scraper and a proxy reach."""
    buckets: list[Seconds] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15]
    """The upper bounds of the durations' histogram, in seconds, ascending."""

    @field_validator("buckets")
    @classmethod
    def _ascend(cls, value: list[float]) -> list[float]:
        if not value or any(low >= high for low, high in pairwise(value)):
            msg = "Give at least one bound, in ascending order"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _someone_may_read(self) -> Self:
        if self.public is (self.token is not None):
            msg = (
                "Set TODOSERVICE_METRICS__TOKEN to what the scraper sends as a bearer token, or "
                "TODOSERVICE_METRICS__PUBLIC=true where nobody else reaches the service, and not both"
            )
            raise ValueError(msg)
        return self
