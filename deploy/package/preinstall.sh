#!/bin/sh
set -e
# Before the files come: one of them is the group's.
getent group groups-exporter >/dev/null || groupadd --system groups-exporter
getent passwd groups-exporter >/dev/null ||
  useradd --system --gid groups-exporter --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin groups-exporter
