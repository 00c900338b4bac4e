"""What the models of answers share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Ms = Annotated[int, Field(description="Milliseconds since the epoch, UTC.", examples=[1_798_135_200_000])]
ProviderName = Literal["apns", "fcm", "webpush", "webhook"]


class Shown(BaseModel):
    """An answer; a field that is not always there has a default."""

    model_config = ConfigDict(extra="forbid")
