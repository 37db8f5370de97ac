#!/usr/bin/env bash
# A training on a TPU pod, from nothing to running; run again, it goes on where it was, also after a preemption.
#
#   scripts/launch_tpu_pod.sh --bucket=gs://BUCKET --name=deeperlab --zone=us-central2-b --type=v4-32 -- \
#     --config=experiments/shapes.py --config.data.records=gs://BUCKET/records/shapes --config.train.batch_size=256
#
# What follows `--` goes to scripts/train.py. Before it: --bucket (the workdir becomes BUCKET/runs/NAME), --name, --zone,
# --type (accelerator), --runtime (VM image), --spot (may be preempted, costs less), --project, --dry_run (only print).
# Needs the gcloud command, logged in. WORKSPACE.md explains each step and what to do without this script.
set -euo pipefail

NAME=deeperlab ZONE=us-central2-b TYPE=v4-32 RUNTIME=tpu-vm-tf-2.15.0-pod-pjrt BUCKET="" PROJECT="" SPOT="" DRY_RUN=""
fail() { echo "error: $1" >&2; exit 1; }
while [ $# -gt 0 ]; do
  case "$1" in
    --name=*) NAME="${1#*=}" ;;
    --zone=*) ZONE="${1#*=}" ;;
    --type=*) TYPE="${1#*=}" ;;
    --runtime=*) RUNTIME="${1#*=}" ;;
    --bucket=*) BUCKET="${1#*=}" ;;
    --project=*) PROJECT="${1#*=}" ;;
    --spot) SPOT=yes ;;
    --dry_run) DRY_RUN=yes ;;
    --) shift; break ;;
    -h|--help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) fail "unknown option $1; see --help." ;;
  esac
  shift
done
case "$BUCKET" in gs://?*) ;; *) fail "--bucket=gs://... is missing: a pod's hosts share nothing but a bucket." ;; esac
[ $# -gt 0 ] || fail "no flags for scripts/train.py; give them after --."
[ -n "$DRY_RUN" ] || command -v gcloud > /dev/null || fail "there is no gcloud command; install the Google Cloud CLI."

HERE="$(cd "$(dirname "$0")/.." && pwd)"
WHERE=(--zone="$ZONE")
[ -z "$PROJECT" ] || WHERE+=(--project="$PROJECT")
run() { if [ -n "$DRY_RUN" ]; then printf '%q ' "$@"; echo; else "$@"; fi; }
tpus() { run gcloud compute tpus "$@" "${WHERE[@]}"; }
state() { gcloud compute tpus queued-resources describe "$NAME" "${WHERE[@]}" --format='value(state.state)' 2> /dev/null || true; }

# 1. A queued resource: Google starts the pod when it has one. A preempted one is removed and asked for again.
STATE=""
[ -n "$DRY_RUN" ] || STATE="$(state)"
case "$STATE" in
  SUSPENDED|SUSPENDING|FAILED) tpus queued-resources delete "$NAME" --quiet --force; STATE="" ;;
esac
if [ -z "$STATE" ]; then
  tpus queued-resources create "$NAME" --node-id="$NAME" --accelerator-type="$TYPE" --runtime-version="$RUNTIME" ${SPOT:+--spot}
fi
while [ -z "$DRY_RUN" ] && STATE="$(state)" && [ "$STATE" != ACTIVE ]; do
  case "$STATE" in FAILED|SUSPENDED) fail "the queued resource $NAME is $STATE; see gcloud compute tpus queued-resources describe $NAME." ;; esac
  echo "$(date +%T) $NAME: ${STATE:-unknown}"
  sleep 30
done

# 2. The same code and packages on every host.
ARCHIVE="$(mktemp -d)/deeperlab.tar.gz"
trap 'rm -rf "$(dirname "$ARCHIVE")"' EXIT
run git -C "$HERE" archive --format=tar.gz --prefix=deeperlab/ -o "$ARCHIVE" HEAD
tpus tpu-vm scp "$ARCHIVE" "$NAME:deeperlab.tar.gz" --worker=all
tpus tpu-vm ssh "$NAME" --worker=all \
  --command="tar xzf deeperlab.tar.gz && pip install --quiet -e ./deeperlab"

# 3. The program itself runs on the first host and drives the others. nohup: it outlives this terminal.
FLAGS="$(printf ' %q' "--workdir=$BUCKET/runs/$NAME" --strategy=tpu "$@")"
tpus tpu-vm ssh "$NAME" --worker=0 \
  --command="cd deeperlab && TPU_NAME=$NAME TPU_LOAD_LIBRARY=0 nohup python3 scripts/train.py$FLAGS > ~/train.log 2>&1 < /dev/null & sleep 5; tail -n 5 ~/train.log"
echo "running; its log: gcloud compute tpus tpu-vm ssh $NAME ${WHERE[*]} --worker=0 --command='tail -f train.log'"
echo "          curves: tensorboard --logdir=$BUCKET/runs/$NAME"
