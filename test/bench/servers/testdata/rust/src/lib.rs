// Nothing: cargo wants a target beside the dependencies that are built.
