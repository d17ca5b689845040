# syntax=docker/dockerfile:1
# The image of retention-enforcer: docker build --tag retention-enforcer .
ARG DEBIAN=debian:trixie-slim

FROM ${DEBIAN} AS build
# Debian's packages are not pinned: their security updates are wanted at each build.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 python3-pip python3-venv
WORKDIR /build
COPY deploy/image/build.lock deploy/image/runtime.lock ./
# The environment has no pip of its own: in the last stage there is nothing to install or build with.
RUN python3 -m venv builder \
 && builder/bin/pip install --no-cache-dir --require-hashes --requirement build.lock \
 && python3 -m venv --without-pip /opt/retention-enforcer \
 && builder/bin/pip --python /opt/retention-enforcer/bin/python install --no-cache-dir --no-compile \
      --require-hashes --only-binary :all: --requirement runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY config config
COPY src src
RUN builder/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir wheels . \
 && builder/bin/pip --python /opt/retention-enforcer/bin/python install --no-cache-dir --no-compile \
      --no-deps --no-index wheels/*.whl \
 && python3 -m compileall -q /opt/retention-enforcer/lib

FROM ${DEBIAN}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="retention-enforcer" \
      org.opencontainers.image.description="Makes an Elasticsearch cluster keep its privacy policy, and proves it." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* \
 && groupadd --gid 10001 enforcer \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin enforcer \
 && install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/retention-enforcer
COPY --from=build /opt/retention-enforcer /opt/retention-enforcer
ENV PATH=/opt/retention-enforcer/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ENFORCER_HTTP_ADDRESS=0.0.0.0:9464 \
    ENFORCER_LOG_FORMAT=json
# By number: a runtime that demands another user than root cannot tell from a name.
USER 10001:10001
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["retention-enforcer", "health"]
ENTRYPOINT ["retention-enforcer"]
CMD ["run"]
