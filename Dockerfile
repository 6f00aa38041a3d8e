FROM python:3.13-slim AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1
WORKDIR /app
LABEL org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="0.1.0"

# A stage per role installs its packages; the images copy only /opt/venv, which has no pip.
FROM base AS service-packages
COPY requirements/service.txt .
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-cache-dir --require-hashes -r service.txt \
    # The packages' own tests are a fifth of the size.
    && find /opt/venv -type d -name tests -prune -exec rm -r {} +

FROM base AS trainer-packages
COPY requirements/trainer.txt .
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-cache-dir --require-hashes -r trainer.txt

FROM base AS dev-packages
COPY requirements/dev.txt .
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-cache-dir --require-hashes -r dev.txt

# A software bill of materials for each image; the tool that writes it stays in this stage.
FROM base AS bills
COPY requirements/sbom.txt .
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-cache-dir --require-hashes -r sbom.txt
COPY pyproject.toml .
COPY --from=service-packages /opt/venv /opt/service
RUN cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
    --output-file service.cdx.json /opt/service/bin/python
COPY --from=trainer-packages /opt/venv /opt/trainer
RUN cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
    --output-file trainer.cdx.json /opt/trainer/bin/python

FROM base AS trainer
LABEL org.opencontainers.image.title="Nodestack trainer" \
    org.opencontainers.image.description="Trains a numpy neural network and publishes model versions"
# World-writable like /tmp: a container may run under any user id.
RUN install --directory --mode=1777 /cache /cache/checkpoints
COPY --from=trainer-packages /opt/venv /opt/venv
COPY --from=bills /app/trainer.cdx.json sbom.cdx.json
COPY nncore nncore
COPY trainer trainer
RUN python -m compileall -q nncore trainer
ENV CACHE_DIR=/cache MODEL_DIR=/models MPLCONFIGDIR=/tmp/matplotlib
USER 1000:1000
ENTRYPOINT ["python", "-m", "trainer"]

FROM base AS tests
LABEL org.opencontainers.image.title="Nodestack tests" \
    org.opencontainers.image.description="Runs the tests of Nodestack"
COPY --from=dev-packages /opt/venv /opt/venv
COPY . .
ENV PYTHONDONTWRITEBYTECODE=1 MPLCONFIGDIR=/tmp/matplotlib
USER 1000:1000
ENTRYPOINT ["pytest", "-p", "no:cacheprovider", "--numprocesses", "auto"]

FROM base AS service
LABEL org.opencontainers.image.title="Nodestack service" \
    org.opencontainers.image.description="Serves model versions over HTTP"
COPY --from=service-packages /opt/venv /opt/venv
COPY --from=bills /app/service.cdx.json sbom.cdx.json
COPY nncore nncore
COPY service service
RUN python -m compileall -q nncore service
ENV HOST=0.0.0.0 MODEL_DIR=/models
USER 1000:1000
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["python", "-m", "service.healthcheck"]
CMD ["python", "-m", "service"]
