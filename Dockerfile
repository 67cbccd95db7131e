# CT scans in /input, vertebrae to /output:
#
#   docker build -t vertseg .                               for NVIDIA GPUs, and CPUs
#   docker build -t vertseg --build-arg ACCELERATOR=cpu .   for CPUs only, far smaller
#   docker run --gpus all -v "$PWD/in:/input:ro" -v "$PWD/out:/output" vertseg [options]
#
# Runs as any user, with --network none --read-only --tmpfs /tmp. Plain enough for buildah.

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS packages
# cuda: tensorflow[and-cuda]==2.21.0; cpu: the same tensorflow without the libraries of CUDA.
ARG ACCELERATOR=cuda
COPY requirements.txt /build/cpu.txt
COPY .requirements/cuda.txt /build/cuda.txt
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --requirement "/build/${ACCELERATOR}.txt" \
    && /opt/venv/bin/pip uninstall --yes pip

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="vertseg" \
      org.opencontainers.image.description="Finds, names and segments the vertebrae in CT scans" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0 AND CC-BY-SA-4.0"

COPY --from=packages /opt/venv /opt/venv
COPY LICENSE predict.py /opt/vertseg/
COPY models /opt/vertseg/models
COPY vertseg /opt/vertseg/vertseg
COPY weights /opt/vertseg/weights
RUN /opt/venv/bin/python -m compileall -q /opt/vertseg \
    && mkdir /input /output && chown 1000:1000 /output

# Nothing but /output and /tmp is written.
ENV HOME=/tmp \
    KERAS_BACKEND=tensorflow \
    KERAS_HOME=/tmp/keras \
    MPLCONFIGDIR=/tmp/matplotlib \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    NVIDIA_VISIBLE_DEVICES=all \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

USER 1000:1000
WORKDIR /tmp
ENTRYPOINT ["/opt/venv/bin/python", "/opt/vertseg/predict.py", "--input", "/input", "--output", "/output"]
