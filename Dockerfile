# An image with the static binary alone. It has no shell, and its only user is 65532.
#
#   docker build --build-arg VERSION=v0.1.0 -t rlserver .
#   docker run -p 6380:6380 -e RLSERVER_REQUIREPASS=secret rlserver

FROM golang:1.26 AS build
WORKDIR /src
# The modules change less often than the code, so they have a layer of their own.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN make build VERSION="$VERSION"

FROM scratch
COPY --from=build /src/bin/rlserver /rlserver
USER 65532:65532

# As in the official Redis image, protected mode is off. A container's ports are closed until they
# are published. Clients of a published port do not come from loopback, so protected mode would
# refuse them all. Set RLSERVER_REQUIREPASS when you publish the port.
ENV RLSERVER_BIND=0.0.0.0 RLSERVER_PROTECTED_MODE=no
EXPOSE 6380

# ping reads the port and the password where the server reads them: in the environment, or in the
# file that RLSERVER_CONFIG names.
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s --retries=3 CMD ["/rlserver", "ping"]

ENTRYPOINT ["/rlserver"]
CMD ["serve"]
