#!/usr/bin/env bash
# From a fresh clone to pictures: installs, parses your photo with the model that ships, then trains one
# on made-up shapes, evaluates, predicts, exports.
#
#   bash scripts/quickstart.sh [PHOTO] [FOLDER]
#
# PHOTO is an image, a film or a folder of images, of a street best. FOLDER takes the results:
# quickstart/ beside setup.py where none is given.
set -euo pipefail
REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() { echo "error: $1" >&2; exit 1; }

# A file, or a folder with images in it, is what to parse; any other name is where results go.
is_photo() { [ -f "$1" ] || { [ -d "$1" ] && [ -n "$(find "$1" -maxdepth 1 -iregex "$IMAGES" -print -quit)" ]; }; }
IMAGES='.*[.]\(jpg\|jpeg\|png\|bmp\|webp\|tif\|tiff\)'

PHOTO=
if [ $# -gt 0 ] && is_photo "$1"; then
  PHOTO=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
  shift
elif [[ ${1:-} =~ [.][A-Za-z0-9]+$ ]] && [ ! -e "$1" ]; then
  fail "there is no photo $1; give an image, a film or a folder of images, or nothing."
fi
if [ $# -gt 1 ]; then fail "quickstart.sh takes a photo and a folder, not $*."; fi
FOLDER=${1:-$REPOSITORY/quickstart}
if [ -e "$FOLDER" ] && [ ! -d "$FOLDER" ]; then fail "$FOLDER is a file; give a folder for the results."; fi
FOLDER=$(mkdir -p "$FOLDER" && cd "$FOLDER" && pwd)
source "$REPOSITORY/scripts/environment.sh"
activate_environment ""
cd "$REPOSITORY"
SECONDS=0

step() { printf '\n== %s\n' "$1"; }

if [ -n "$PHOTO" ]; then
  step "your photo, parsed with the model that ships"
  python scripts/predict.py --model=street --input="$PHOTO" --output="$FOLDER/parses"
  echo "Look at $FOLDER/parses; now a model of its own is trained. Ctrl-C ends it, the parse stays."
fi

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
