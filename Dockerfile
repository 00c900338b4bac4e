# The image of a worker, and of the commands that need no broker of their own.
FROM python:3.12-slim AS build
WORKDIR /build
RUN python -m venv /opt/ringonce
COPY requirements.lock ./
RUN /opt/ringonce/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY schemas schemas
COPY connectors connectors
COPY streams streams
RUN /opt/ringonce/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim
# Nothing in it needs root, and what it writes (local copies of the tables) may be lost.
RUN useradd --system --uid 10001 --create-home ringonce && install -d -o ringonce /var/lib/ringonce /simulators
COPY --from=build /opt/ringonce /opt/ringonce
ENV PATH=/opt/ringonce/bin:$PATH PYTHONUNBUFFERED=1 RINGONCE_DATA_DIR=/var/lib/ringonce
USER ringonce
VOLUME /var/lib/ringonce
ENTRYPOINT ["ringonce"]
CMD ["worker"]
