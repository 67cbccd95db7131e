# CT scans in /input, vertebrae to /output:
#
#   docker build -t vertseg .                               for NVIDIA GPUs, and CPUs
#   docker build -t vertseg --build-arg ACCELERATOR=cpu .   for CPUs only, far smaller
#   docker run --gpus all --user "$(id -u):$(id -g)" -v "$PWD/in:/input:ro" \
#              -v "$PWD/out:/output" vertseg [options]
#   docker run --gpus all vertseg --selftest                is everything there, and the GPU in use?
#
# With podman and buildah add --format docker, or the image has no health check.
# Runs as any user, with --network none --read-only --tmpfs /tmp. Plain enough for buildah.

# By digest, so that the same files give the same image. To raise it:
# docker buildx imagetools inspect python:3.11-slim-bookworm
ARG BASE=python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

# Of OpenVINO only what runs on a CPU stays: no other plugins, no readers of foreign models. The
# tests of other packages, and setuptools where no package wants it, go as well.
FROM ${BASE} AS packages
ARG VERSION=0.6.0
# cuda: TensorFlow with the libraries of CUDA, and OpenVINO; cpu: OpenVINO alone.
ARG ACCELERATOR=cuda
COPY requirements.txt /build/cpu.txt
COPY .requirements/cuda.txt .requirements/sbom.py /build/
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --requirement "/build/${ACCELERATOR}.txt" \
    && { grep -q "^setuptools==" "/build/${ACCELERATOR}.txt" \
        || /opt/venv/bin/pip uninstall --yes setuptools; } \
    && /opt/venv/bin/pip uninstall --yes openvino-telemetry pip \
    && cd /opt/venv/lib/python3*/site-packages \
    && rm -rf tensorflow/include openvino/include openvino/libs/cache.json \
        openvino/libs/*_gpu_plugin* openvino/libs/*_npu_* openvino/libs/*_frontend.so* \
    && find h5py nibabel numpy pydicom scipy -type d \( -name tests -o -name test_files \) -prune \
        -exec rm -r {} + \
    && python3 /build/sbom.py "/build/${ACCELERATOR}.txt" "${VERSION}" >/build/sbom.cdx.json

FROM ${BASE}
ARG BASE
ARG VERSION=0.6.0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="vertseg" \
      org.opencontainers.image.description="Finds, names and segments the vertebrae in CT scans" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="Apache-2.0 AND CC-BY-SA-4.0 AND Bitstream-Vera" \
      org.opencontainers.image.base.name="${BASE}" \
      org.cyclonedx.sbom="/opt/vertseg/sbom.cdx.json"

# An init passes signals on and reaps what a killed process leaves.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*

COPY --from=packages /opt/venv /opt/venv
COPY --from=packages /build/sbom.cdx.json /opt/vertseg/sbom.cdx.json
COPY LICENSE predict.py /opt/vertseg/
COPY models /opt/vertseg/models
COPY vertseg /opt/vertseg/vertseg
COPY weights /opt/vertseg/weights
RUN /opt/venv/bin/python -m compileall -q /opt/vertseg \
    && mkdir /input /output && chown 1000:1000 /output

# Nothing but /output and /tmp is written.
ENV HOME=/tmp \
    KERAS_HOME=/tmp/keras \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    NVIDIA_VISIBLE_DEVICES=all \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

USER 1000:1000
WORKDIR /tmp
# On one processor thread, so that it takes nothing from a run that is under way.
HEALTHCHECK --interval=30m --timeout=5m --start-period=5m --retries=2 \
    CMD ["/opt/venv/bin/python", "/opt/vertseg/predict.py", "--selftest", "--device", "cpu", "--threads", "1"]
ENTRYPOINT ["/usr/bin/tini", "--", "/opt/venv/bin/python", "/opt/vertseg/predict.py", "--input", "/input", "--output", "/output"]
