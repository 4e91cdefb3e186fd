#!/bin/bash
# Copies checkpoints to places of every kind but folders, and goes on from there (the argument is the binary).
set -euo pipefail
cd "$(dirname "$0")/../.."
scripts/stores/ssh.sh "$1"
scripts/stores/objects.sh "$1"
