# vod2strmfs in a container. docs/containers.md says how to run it; compose/ has the files for Docker Compose.
#
#   docker build -t vod2strmfs .
#
# BASE can be any Debian or Ubuntu with Python 3.11 or later and its venv module. PUID and PGID are the numbers of the
# user whom the program runs as; 0 is root.
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS build
# pyfuse3 is compiled against libfuse. A Python of Debian's needs its header files; one in /usr/local has them.
RUN apt-get update \
    && python="$([ -x /usr/local/bin/python3 ] || echo python3-dev)" \
    && apt-get install -y --no-install-recommends gcc libc6-dev libfuse3-dev pkg-config $python
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY docs/vod2strmfs.1 docs/
COPY vod2strmfs vod2strmfs
RUN python3 -m venv /opt/vod2strmfs \
    && /opt/vod2strmfs/bin/pip install --no-cache-dir . \
    && /opt/vod2strmfs/bin/pip uninstall -y pip

FROM ${BASE}
LABEL org.opencontainers.image.title="vod2strmfs" \
      org.opencontainers.image.description="A Dispatcharr film library as a file system of .strm and .nfo files" \
      org.opencontainers.image.licenses="MIT"
ARG PUID=1000
ARG PGID=1000
# fuse3 brings fusermount3, with which a user who is not root mounts; tzdata the time zones of schedules.
# fusermount3 wants the user to have a name, and fuse.conf to say that a user's mount may be for everybody.
RUN apt-get update \
    && apt-get install -y --no-install-recommends fuse3 tzdata \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* \
    && echo "vod2strmfs:x:$PUID:$PGID::/state:/usr/sbin/nologin" >>/etc/passwd \
    && echo user_allow_other >>/etc/fuse.conf \
    && install -d -o "$PUID" -g "$PGID" /data /data/STRM \
    && install -d -o "$PUID" -g "$PGID" -m 700 /state
COPY --from=build /opt/vod2strmfs /opt/vod2strmfs
# Nothing but the state has to be written, not even /tmp, so the rest can be read-only.
ENV PATH=/opt/vod2strmfs/bin:$PATH \
    TMPDIR=/state \
    VOD2STRMFS_OUTPUT_ROOT=/data/STRM \
    VOD2STRMFS_STATE_DIR=/state
USER $PUID:$PGID
VOLUME /state
STOPSIGNAL SIGTERM
# The mount's process is asked at its socket, never the mount, and has 5 seconds to answer. A library that is shown is
# healthy even if it gets older (exit code 3) or the shrink brake holds something back (7).
HEALTHCHECK --interval=30s --timeout=20s --start-period=15m \
    CMD vod2strmfs status; case $? in 0|3|7) exit 0;; *) exit 1;; esac
ENTRYPOINT ["vod2strmfs"]
CMD ["mount"]
