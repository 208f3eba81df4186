# One target for each command: docker build --target mps-sim . or --target mps-ilert .
ARG GOLANG_IMAGE=golang:1.26

FROM ${GOLANG_IMAGE} AS build
WORKDIR /src
# Modules change less often than code: their layer stays in the cache.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/ ./mps-sim ./mps-ilert
# An empty folder to copy: scratch has no shell that could make one.
RUN mkdir /empty

FROM scratch AS mps-sim
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/mps-sim /
# The store of the consumer within is a temporary file.
COPY --from=build --chown=65532:65532 /empty /tmp
USER 65532:65532
# The page and REST API; the embedded broker by MQTT and by WebSocket. Loopback, the default, would end
# at the container's own wall. By other names than localhost they answer with --allowed-hosts.
EXPOSE 3000 1883 9001
ENTRYPOINT ["/mps-sim", "--http=0.0.0.0:3000", "--mqtt=0.0.0.0:1883", "--mqtt-ws=0.0.0.0:9001"]

FROM scratch AS mps-ilert
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/mps-ilert /
# A new volume takes its owner from here. As working directory it also serves SQLite for temporary files.
COPY --from=build --chown=65532:65532 /empty /data
USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 8977
ENTRYPOINT ["/mps-ilert"]
# Without a broker it does not start, and says so: a port alone would look as if it worked.
CMD ["daemon"]
