# The image of a worker, and of the commands that need no broker of their own.

# The wheel, with the hot path compiled: what its build needs does not come along.
FROM python:3.12-slim AS wheel
WORKDIR /build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/build
COPY requirements-build.lock ./
RUN /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock
COPY pyproject.toml setup.py README.md ./
COPY schemas schemas
COPY connectors connectors
COPY streams streams
RUN RINGONCE_COMPILED=1 /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.12-slim AS build
RUN python -m venv /opt/ringonce
COPY requirements.lock ./
RUN /opt/ringonce/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY --from=wheel /wheels /wheels
RUN /opt/ringonce/bin/pip install --no-cache-dir --no-deps /wheels/*.whl

FROM python:3.12-slim
# Nothing in it needs root, and what it writes (local copies of the tables) may be lost.
RUN useradd --system --uid 10001 --create-home ringonce && install -d -o ringonce /var/lib/ringonce /simulators
COPY --from=build /opt/ringonce /opt/ringonce
ENV PATH=/opt/ringonce/bin:$PATH PYTHONUNBUFFERED=1 RINGONCE_DATA_DIR=/var/lib/ringonce
USER ringonce
VOLUME /var/lib/ringonce
ENTRYPOINT ["ringonce"]
CMD ["worker"]
