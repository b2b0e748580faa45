#!/bin/sh
# Installs the client package and builds a consumer that knows nothing but its
# name: package_test.sh CMAKE BUILD_DIR CXX_COMPILER
set -eu
cmake=$1 build=$2 compiler=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$cmake" --install "$build" --prefix "$folder/prefix" --component client > /dev/null
mkdir "$folder/consumer"
cat > "$folder/consumer/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES CXX)
set(CMAKE_CXX_STANDARD 20)
find_package(heapsync REQUIRED)
add_executable(consumer main.cc)
target_link_libraries(consumer PRIVATE heapsync::client)
CMAKE
cat > "$folder/consumer/main.cc" <<'SOURCE'
#include "heapsync/client/bulk_writer.h"
#include "heapsync/client/client.h"

int main() {
  const heapsync::Client client({.server = "localhost:1"});
  heapsync::BulkWriter<heapsync::v1::TrackEvent> writer(client, {});
  return writer.Finish().ok() ? 0 : 1;
}
SOURCE
"$cmake" -S "$folder/consumer" -B "$folder/build" -G Ninja \
  -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$folder/prefix" > "$folder/log" ||
  { cat "$folder/log"; exit 1; }
"$cmake" --build "$folder/build"
"$folder/build/consumer"
