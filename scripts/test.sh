#!/usr/bin/env bash
# Makes or reuses the environment, checks the style and runs every test; arguments go to pytest.
#
#   bash scripts/test.sh
#   bash scripts/test.sh --quick          what one needs every ten minutes
#   bash scripts/test.sh -k fusion
set -euo pipefail
REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$REPOSITORY/scripts/environment.sh"

CHOSEN=()
if [ "${1:-}" = --quick ]; then
  shift
  CHOSEN=(-m "not slow"
    # Tests that trace no graph.
    tests/test_house.py
    tests/test_public_face.py
    tests/experiments
    tests/deeperlab_tf/{files,metrics,prediction,visualize}
    tests/deeperlab_tf/{pixels,work}
    tests/deeperlab_tf/test_{cli,compat,config,paper,schema}.py
    tests/deeperlab_tf/evaluation/test_report.py
    tests/deeperlab_tf/export/test_encoded.py
    tests/deeperlab_tf/training/test_strategy.py
    tests/input_pipeline/datasets
    tests/input_pipeline/test_checks.py
    tests/scripts/test_evaluate.py
    # Of each room that does, a few.
    tests/deeperlab_tf/test_layers.py::test_upsample_is_bilinear_interpolation_with_aligned_corners
    tests/deeperlab_tf/test_losses.py::test_semantic_loss_equals_eq_1
    tests/deeperlab_tf/test_model.py::test_heads_have_stride_4_and_the_papers_channels
    tests/deeperlab_tf/backbones/test_mobilenet_v2.py::test_features_come_at_the_output_stride_and_detail_at_stride_4
    tests/deeperlab_tf/evaluation/test_evaluate.py::test_perfect_model_scores_one_and_its_files_are_all_there
    tests/deeperlab_tf/fusion/test_{hough,merge,nearest}.py
    tests/deeperlab_tf/fusion/test_fuse.py::test_perfect_heads_come_back_as_the_labels
    tests/deeperlab_tf/training/test_training.py::test_frozen_batch_norms_do_not_change
    tests/input_pipeline/test_preprocess.py::test_flipping_mirrors_image_and_labels_together
    tests/input_pipeline/test_targets.py::test_targets_equal_the_oracle
    tests/input_pipeline/records/test_records.py::test_images_and_labels_come_back_bit_for_bit)
fi

activate_environment "[test]"
cd "$REPOSITORY"
ruff check --quiet .
if ! ruff format --check --quiet .; then
  echo "error: some files are not formatted; run: ruff format ." >&2
  exit 1
fi
exec python -m pytest --numprocesses=2 --dist=worksteal ${CHOSEN[@]+"${CHOSEN[@]}"} "$@"
