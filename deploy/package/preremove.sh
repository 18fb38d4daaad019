#!/bin/sh
set -e
# "remove" is dpkg's word, 0 is rpm's; an upgrade has others.
if [ -d /run/systemd/system ] && { [ "$1" = remove ] || [ "$1" = 0 ]; }; then
  systemctl disable --now groups-exporter.service
fi
