#!/bin/sh
set -e
if [ "$1" = purge ]; then # dpkg alone has this
  rm -rf /etc/groups-exporter
fi
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
fi
