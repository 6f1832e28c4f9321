# rlserver alone in an image: a static binary, no shell, no user but 65532.
#
#   docker build --build-arg VERSION=v0.1.0 -t rlserver .
#   docker run -p 6380:6380 -e RLSERVER_REQUIREPASS=secret rlserver

FROM golang:1.26 AS build
WORKDIR /src
# The modules change less often than the code: a layer of their own keeps them.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN make build VERSION="$VERSION"

FROM scratch
COPY --from=build /src/bin/rlserver /rlserver
USER 65532:65532

# Like the official Redis image: a container's ports are closed until somebody publishes
# them, and protected mode would refuse even those who come through a published port, since
# they do not come from loopback. Set RLSERVER_REQUIREPASS when publishing the port.
ENV RLSERVER_BIND=0.0.0.0 RLSERVER_PROTECTED_MODE=no
EXPOSE 6380

# ping finds the port and the password where the server found them: in the environment, or
# in the file that RLSERVER_CONFIG names.
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s --retries=3 CMD ["/rlserver", "ping"]

ENTRYPOINT ["/rlserver"]
CMD ["serve"]
