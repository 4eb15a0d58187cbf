# One image with every program; compose.yaml says which one a container runs.
FROM debian:bookworm-slim AS build
WORKDIR /src
COPY packages.apt ./
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends \
        $(sed -n '/^\[build\]/,/^\[run\]/p' packages.apt | sed 's/#.*//; /^\[/d') \
    && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake --preset release && cmake --build --preset release \
    && cmake --install build/release --prefix /out --strip

FROM debian:bookworm-slim
COPY packages.apt /tmp/
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends \
        $(sed -n '/^\[run\]/,/^\[test\]/p' /tmp/packages.apt | sed 's/#.*//; /^\[/d') \
    && rm -rf /var/lib/apt/lists/* /tmp/packages.apt \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin omni \
    && install -d -o omni -g omni -m 0700 /data /keys
COPY --from=build /out/bin/ /usr/local/bin/
COPY examples/ /usr/local/share/omni/examples/
USER 10001
STOPSIGNAL SIGTERM
ENV OMNI_LOG_FORMAT=json OPENBLAS_NUM_THREADS=1
CMD ["omni", "up", "--data", "/data", "--listen", "0.0.0.0:8080"]
