#!/bin/sh
# Generates heapsync/v1 beside client.py, and copies the service config there.
set -eu
cd "$(dirname "$0")"
"${PYTHON:-.venv/bin/python}" -m grpc_tools.protoc --proto_path=../../proto --python_out=. --pyi_out=. --grpc_python_out=. \
  heapsync/v1/items.proto heapsync/v1/heap_sync_service.proto
cp ../../proto/heapsync/v1/service_config.json heapsync/v1/
