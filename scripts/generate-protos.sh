#!/bin/bash
# Regenerates Sources/Wire/Generated from Sources/Wire/Protos. Needs protoc (Debian: protobuf-compiler).
# The Swift plugin is built from the very swift-protobuf that the package links.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v protoc >/dev/null || { echo "protoc is missing; install protobuf-compiler" >&2; exit 1; }
swift build --product protoc-gen-swift
plugin="$(swift build --show-bin-path)/protoc-gen-swift"
mkdir -p Sources/Wire/Generated
protoc --plugin=protoc-gen-swift="$plugin" \
    --proto_path=Sources/Wire/Protos --swift_out=Sources/Wire/Generated \
    --swift_opt=Visibility=Package --swift_opt=UseAccessLevelOnImports=true \
    Sources/Wire/Protos/*.proto
