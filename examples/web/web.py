"""A service that counts words."""

import collections

import fastapi
import pydantic

app = fastapi.FastAPI(title="words")


class Text(pydantic.BaseModel):
    text: str = pydantic.Field(max_length=100_000)


class Words(pydantic.BaseModel):
    total: int
    most: dict[str, int]


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/words")
def words(body: Text) -> Words:
    counter = collections.Counter(body.text.lower().split())
    return Words(total=counter.total(), most=dict(counter.most_common(5)))
