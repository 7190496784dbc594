"""What a scraper does."""

from collections.abc import Callable
from typing import TypeAlias

from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

TOKEN = "correct-horse-battery"
PATH = "/-/metrics"
Samples: TypeAlias = dict[tuple[str, frozenset[tuple[str, str]]], float]
Scrape: TypeAlias = Callable[[], Samples]


def samples(client: TestClient) -> Samples:
    """Read the samples, each by its name and its labels."""
    answer = client.get(PATH, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    return read(answer.text)


def read(text: str) -> Samples:
    """Return the samples of a text, each by its name and its labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
