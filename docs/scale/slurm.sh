#!/usr/bin/env bash
#SBATCH --job-name=paperlora-parse
#SBATCH --nodes=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=02:00:00
# Parse a folder of papers with a SLURM array; docs/scale.md explains it. Submit it from the checkout:
#   parts=$(sbatch --parsable --array=1-8 docs/scale/slurm.sh 8 --run all --papers /data/papers)
#   sbatch --dependency=afterok:"$parts" docs/scale/slurm.sh 8 --run all --papers /data/papers
# The first argument is the number of parts; the others go to `parse`. A task of an array reads its part. A job
# without an array joins all parts, and reads what is missing.
set -euo pipefail
parts=$1
shift
if [[ -n ${SLURM_ARRAY_TASK_ID:-} ]]; then
  set -- --shard "$SLURM_ARRAY_TASK_ID/$parts" "$@"
fi
exec env/nox -s parse -- "$@"
