#!/usr/bin/env bash
# Writes docs/configuration.md from the tables of settings; to be run after a change of server/config/settings.cc or
# heap_adapter/config/destination_keys.cc.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cmake --preset dev >/dev/null
cmake --build --preset dev --target server_flags_test
HEAPSYNC_UPDATE_CONFIGURATION_PAGE=1 build/dev/tests/config/server_flags_test --gtest_filter='ConfigurationPageTest.*'
