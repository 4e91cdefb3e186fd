#!/bin/bash
# Compares `opd template` with transformers on every chat template of TRL's wheel (the argument is the binary).
# The wheel is fetched into .build-templates, with transformers and jinja2 in an environment of its own there.
set -euo pipefail
cd "$(dirname "$0")/../.."
opd=$1
folder=.build-templates
python=$folder/venv/bin/python
wheel=trl-1.16.0-py3-none-any.whl

[ -x $python ] || "${PYTHON:-python3}" -m venv $folder/venv
$python -c 'import jinja2, transformers' 2>/dev/null || $python -m pip install --quiet 'transformers==5.24.0' 'jinja2==3.1.6'
if [ ! -d $folder/trl/chat_templates ]; then
    $python -m pip download --quiet --no-deps --dest $folder trl==1.16.0
    $python -m zipfile -e "$folder/$wheel" $folder/wheel
    rm -rf $folder/trl
    mv $folder/wheel/trl $folder/trl
fi
exec $python scripts/templates/check.py "$opd" $folder/trl/chat_templates
