"""What every domain model has in common."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """An immutable value that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
