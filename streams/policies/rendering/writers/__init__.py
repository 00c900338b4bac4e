"""How a locale writes values: each pattern of CLDR compiled once, to exactly what Babel would make of it.

Babel takes a pattern apart for each value anew, which is most of what it costs. What is rare a writer does not know:
then there is none, or it answers None, and Babel is asked.
"""

from streams.policies.rendering.writers.dates import Instant, InstantWriter, instant_writer
from streams.policies.rendering.writers.numbers import NumberWriter, number_writer
from streams.policies.rendering.writers.plurals import count_categories

__all__ = ["Instant", "InstantWriter", "NumberWriter", "count_categories", "instant_writer", "number_writer"]
