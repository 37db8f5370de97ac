#!/usr/bin/env bash
# From a fresh clone to pictures: installs, trains on made-up shapes, evaluates, predicts, exports.
#
#   bash scripts/quickstart.sh [FOLDER]        default: quickstart/ beside setup.py
set -euo pipefail
REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
FOLDER=$(mkdir -p "${1:-$REPOSITORY/quickstart}" && cd "${1:-$REPOSITORY/quickstart}" && pwd)
source "$REPOSITORY/scripts/environment.sh"
activate_environment ""
cd "$REPOSITORY"
SECONDS=0

step() { printf '\n== %s\n' "$1"; }

step "1/4  training on made-up shapes (a few minutes on two cores)"
python scripts/train.py --config=experiments/shapes.py --workdir="$FOLDER/run"

step "2/4  evaluating on held-out shapes"
rm -rf "$FOLDER/evaluation"
python scripts/evaluate.py --workdir="$FOLDER/run" --output="$FOLDER/evaluation" --report

step "3/4  predicting pictures the network has never seen"
rm -rf "$FOLDER/images" "$FOLDER/predictions"
python scripts/make_shapes.py --output="$FOLDER/images" --count=8
python scripts/predict.py --model="$FOLDER/run" --input="$FOLDER/images" --output="$FOLDER/predictions"

step "4/4  exporting for TF Serving"
rm -rf "$FOLDER/export"
python scripts/export.py --workdir="$FOLDER/run" --output="$FOLDER/export/shapes/1"

cat <<EOF

Done in $((SECONDS / 60)) min $((SECONDS % 60)) s.

  pictures     $FOLDER/predictions/          one overlay an image
               $FOLDER/evaluation/contact_sheet.png
  report       $FOLDER/evaluation/report.html     every image, its truth, parse and errors
  numbers      $FOLDER/evaluation/metrics.json
  SavedModel   $FOLDER/export/shapes/1
  TensorBoard  tensorboard --logdir=$FOLDER/run/tensorboard

Next, on your own photos and masks: write a classes.yaml (README, "Your own data"), then

  source $VENV/bin/activate
  python scripts/train.py --config=experiments/folder.py --workdir=runs/mine --config.data.root=DIR
EOF
