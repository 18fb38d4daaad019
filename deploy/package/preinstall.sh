#!/bin/sh
set -e
# Before the files come: one of them is the group's.
if ! getent passwd groups-exporter >/dev/null; then
  useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin groups-exporter
fi
