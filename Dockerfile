# syntax=docker/dockerfile:1
FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /opt/recouple
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY messages ./messages
COPY store ./store
COPY workers ./workers
COPY ops ./ops
RUN /opt/recouple/bin/pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt .

FROM python:3.13-slim
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin recouple \
    && install --directory --owner=recouple --group=recouple /var/lib/recouple
COPY --from=build /opt/recouple /opt/recouple
ENV PATH="/opt/recouple/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    RECOUPLE_CONFIG=/etc/recouple/recouple.toml
# The embedded store and broker, where they are used, live in .recouple/ of this folder.
WORKDIR /var/lib/recouple
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["recouple"]
CMD ["work"]
