# `penlight serve` in a container: no root, nothing to write but /tmp. The manual's page on deployment says how to run it.
FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN ["python", "-m", "venv", "/opt/penlight"]
RUN ["/opt/penlight/bin/pip", "install", "--no-cache-dir", "--only-binary", ":all:", "-c", "constraints.txt", ".[serve]"]

FROM python:3.11-slim
COPY --from=build /opt/penlight /opt/penlight
ENV PATH=/opt/penlight/bin:/usr/local/bin:/usr/bin:/bin PENLIGHT_CACHE=/tmp/penlight PYTHONUNBUFFERED=1
# A number, so that it is seen not to be root without the image's list of users.
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=20s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=5)"]
ENTRYPOINT ["penlight"]
# 0.0.0.0 is the container; without a token in PENLIGHT_TOKEN the server does not start.
CMD ["serve", "/runs", "--host", "0.0.0.0", "--port", "8000"]
