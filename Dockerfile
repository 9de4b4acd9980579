# posewright serve, on CPUs: OpenVINO and the embedded networks are in, torch is not.
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY posewright posewright
RUN python -m venv /opt/posewright \
    && /opt/posewright/bin/pip install --no-cache-dir -c constraints.txt ".[serve,openvino]"

FROM python:3.11-slim
COPY --from=build /opt/posewright /opt/posewright
RUN useradd --system --uid 10001 --no-create-home posewright \
    && install -d -o posewright -m 700 /data
USER 10001
ENV PATH=/opt/posewright/bin:$PATH PYTHONDONTWRITEBYTECODE=1 POSEWRIGHT_OFFLINE=1
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["posewright", "serve", "--host", "0.0.0.0", "--data", "/data"]
CMD ["--token-file", "/run/secrets/tokens"]
