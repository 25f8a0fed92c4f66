#!/usr/bin/env bash
# Installs a target stage by stage, and probes each stage before the next one. Run it again after an
# interruption, or when the environment differs from its lock.
#
#   env/install.sh [--target cuda] [--python PATH] [--prefix DIR] [--stage NAME|NUMBER]
#                  [--compile] [--slim] [--no-space-check] [--unless-stamped]
#
# The target of a host gets its own environment in --prefix. A Colab target (colab-2026.04) is
# installed into the running python3, beside the runtime's own packages; of these it changes only
# what its lock holds. With --prefix it is installed into that environment instead.
#
# --stage stops after that stage. --compile makes all bytecode now, on all cores.
# --slim removes the files that docker/removals.toml declares, as the image does.
# --unless-stamped exits when every stage was installed once, without verifying the environment.
# PAPERLORA_TOOLS is the folder of a uv to use instead of the pinned one of env/bootstrap.py.
set -euo pipefail

root=$(dirname -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")")
target=cuda python='' prefix='' last='' space=check trust='' compile=() slim=''

fail() { # CODE MESSAGE
    echo "$2" >&2
    exit "$1"
}

while (($#)); do
    case $1 in
        --target | --python | --prefix | --stage)
            (($# > 1)) || fail 2 "$1 needs a value → see the first lines of env/install.sh"
            case $1 in
                --target) target=$2 ;;
                --python) python=$2 ;;
                --prefix) prefix=$(realpath -m -- "$2") ;;
                --stage) last=$2 ;;
            esac
            shift 2
            ;;
        --slim) slim=yes && shift ;;
        --no-space-check) space=trust && shift ;;
        --compile) compile=(--compile-bytecode) && shift ;;
        --unless-stamped) trust=stamps && shift ;;
        *) fail 2 "unknown argument $1 → see the first lines of env/install.sh" ;;
    esac
done
colab=''
[[ $target != colab-* ]] || colab=yes
if [[ -n $colab && -z $prefix ]]; then
    prefix=$("${python:-python3}" -c 'import sys; print(sys.prefix)')
    inside=$(command -v "${python:-python3}")
fi
[[ -n $prefix ]] || prefix=$root/.envs/$target
slices=$root/lockfiles/$target
[[ -f $slices/lock.json ]] || fail 2 "there is no lock for target $target → use one of: $(cd "$root/lockfiles" && echo */)"
for slice in "$slices/$last"-*.txt; do
    [[ ! -f $slice ]] || last=$(basename "${slice#*"/$last-"}" .txt) # a number, as in 10
done
[[ -z $last ]] || compgen -G "$slices/[0-9]*-$last.txt" >/dev/null ||
    fail 2 "target $target has no stage $last → its slices are: $(cd "$slices" && echo [0-9]*.txt)"

trap 'echo "interrupted → run this again; finished stages are kept" >&2; exit 130' INT
export PYTHONPATH=$root/src
unset PYTHONHOME VIRTUAL_ENV CONDA_PREFIX
stamps=$prefix/.stages
inside=${inside:-$prefix/bin/python}
step() { "$inside" -m paperlora.environment.core.install "$@"; }
stamp_of() { cat "$stamps/$1" 2>/dev/null || true; }
digest_of() { sha256sum <"$1" | cut -d' ' -f1; }

# One install at a time in one prefix; a second one waits and finds the finished environment.
guard=$prefix.lock
[[ -z $colab ]] || guard=$root/.envs/$target.lock
{ mkdir -p "$(dirname -- "$prefix")" "$(dirname -- "$guard")" && : >>"$guard"; } 2>/dev/null ||
    fail 2 "cannot write into the folder of $prefix → name another one with --prefix"
exec 9>"$guard"
flock -n 9 || { echo "waiting for another install in $prefix" >&2 && flock 9; }

all=() todo=()
for slice in "$slices"/[0-9]*-*.txt; do
    name=$(basename "$slice" .txt)
    all+=("$name")
    [[ $(stamp_of "$name") == "$(digest_of "$slice")" ]] || todo+=("$name")
    [[ ${name#*-} != "$last" ]] || break
done

# Usually there is nothing to do, so this comes first: it needs neither uv nor a network.
if ((${#todo[@]} == 0)); then
    [[ -z $trust || ! -x $inside ]] || exit 0
    code=0
    step verify "$target" "$last" || code=$?
    ((code != 0 && code != 3)) || exit "$code" # 3: the lock itself is wrong
    todo=("${all[@]}")                         # installed once, but changed since: check every stage again
fi

started=$SECONDS
tools=${PAPERLORA_TOOLS:-$(python3 -I "$root/env/bootstrap.py" tools)}
uv=$tools/uv
find_python() {
    local start=python3
    [[ ! -x $tools/python ]] || start=$tools/python # python3 itself may be too old, or a broken shim
    "$start" -I "$root/env/bootstrap.py" python
}
# uv has its own list of certificate authorities and does not read pip's configuration. A network with
# its own authority or index is set up in the machine's list and in pip's configuration.
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
    [[ ! -s $bundle ]] || export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true}
done
if [[ -z ${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}${UV_CONFIG_FILE:-} && -x $tools/python ]]; then
    index=${PIP_INDEX_URL:-$("$tools/python" -m pip config get global.index-url 2>/dev/null || true)}
    [[ -z $index ]] || export UV_DEFAULT_INDEX=$index
fi
repair="rm -r $prefix and run this again"
[[ -z $colab ]] || repair='take a fresh runtime (Runtime, Disconnect and delete runtime) and run this again'
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo none; }
if [[ -n $colab ]]; then
    step runtime "$target"
elif [[ $(version_of "$inside") == none || (-n $python && $(version_of "$python") != "$(version_of "$inside")") ]]; then
    [[ -f $prefix/pyvenv.cfg || ! -e $prefix || -z $(ls -A "$prefix") ]] ||
        fail 2 "$prefix is not an environment and not empty → name another folder with --prefix"
    [[ -n $python ]] || python=$(find_python)
    "$uv" venv --quiet --no-project --clear --python "$python" "$prefix" ||
        fail 2 "no environment could be made in $prefix with $python → name another Python with --python"
    todo=("${all[@]}")
fi
mkdir -p "$stamps"
echo "$target" >"$stamps/target"
cd "$root" # so that uv reads the user's settings, but not those of another project

step heal "$target" || todo=("${all[@]}") # 1: a package must be restored, although its stage has a stamp
step plan "$target" "$last" "$space" "$("$uv" cache dir)"
quiet=(--quiet)
[[ ! -t 2 ]] || quiet=() # on a terminal uv shows its progress
place=0
for name in "${all[@]}"; do
    place=$((place + 1))
    [[ " ${todo[*]} " == *" $name "* ]] || continue
    begun=$SECONDS
    echo "stage $place/${#all[@]} ${name#*-} …" >&2
    echo begun >"$stamps/$name"
    ! grep -q '==' "$slices/$name.txt" || # a Colab runtime may have all packages of a stage
        "$uv" pip install "${quiet[@]}" --python "$inside" --no-deps --require-hashes --only-binary :all: \
            "${compile[@]}" -r "$slices/$name.txt" 9>&- ||
        fail 4 "stage ${name#*-} could not be installed, see above → run this again; finished stages are kept"
    [[ -z $slim ]] || step slim
    step probe "${name#*-}" 9>&- ||
        fail 3 "stage ${name#*-} is installed but does not work, see above → $repair"
    digest_of "$slices/$name.txt" >"$stamps/$name"
    echo "stage $place/${#all[@]} ${name#*-} done in $((SECONDS - begun)) s" >&2
done

if ! step verify "$target" "$last"; then
    mapfile -t surplus < <(step surplus "$target")
    ((${#surplus[@]} == 0)) || "$uv" pip uninstall --quiet --python "$inside" "${surplus[@]}"
    step verify "$target" "$last" || fail 3 "$prefix differs from its lock → $repair"
fi
[[ -z $colab ]] || echo 'restart the session (Runtime, Restart session) if this notebook imported transformers or peft before' >&2
echo "environment ready in $((SECONDS - started)) s: $prefix" >&2
