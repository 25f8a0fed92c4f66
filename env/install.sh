#!/usr/bin/env bash
# The one ordered install script: stage by stage, each stage probed before the next. Run it again
# after an interruption or when the environment differs from its lock.
#
#   env/install.sh [--target cuda] [--python PATH] [--prefix DIR] [--stage NAME|NUMBER]
#                  [--compile] [--slim] [--no-space-check] [--unless-stamped]
#
# A host's target gets an environment of its own in --prefix. A Colab target (colab-2026.04) is
# installed into the running python3, beside the runtime's own packages, which it leaves alone but
# for those that its lock is there to change; --prefix names another environment that stands for it.
#
# --stage stops after that stage. --compile makes the bytecode at once, on all cores.
# --slim removes what docker/removals.toml declares, as the image does.
# --unless-stamped ends at once when every stage was installed, without looking at what became of it
# since. PAPERLORA_TOOLS names the folder of a uv to use instead of the pinned one that
# env/bootstrap.py installs.
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

trap 'echo "interrupted → run this again; what is done is kept" >&2; exit 130' INT
export PYTHONPATH=$root/src
unset PYTHONHOME VIRTUAL_ENV CONDA_PREFIX
stamps=$prefix/.stages
inside=${inside:-$prefix/bin/python}
ask() { "$inside" -m paperlora.environment.core.install "$@"; }
stamp_of() { cat "$stamps/$1" 2>/dev/null || true; }
digest_of() { sha256sum <"$1" | cut -d' ' -f1; }

# One install at a time in one prefix; whoever comes second finds the work done.
guard=$prefix.lock
[[ -z $colab ]] || guard=$root/.envs/$target.lock
{ mkdir -p "$(dirname -- "$prefix")" "$(dirname -- "$guard")" && : >>"$guard"; } 2>/dev/null ||
    fail 2 "nothing can be written beside $prefix → name another folder with --prefix"
exec 9>"$guard"
flock -n 9 || { echo "waiting for another install in $prefix" >&2 && flock 9; }

all=() todo=()
for slice in "$slices"/[0-9]*-*.txt; do
    name=$(basename "$slice" .txt)
    all+=("$name")
    [[ $(stamp_of "$name") == "$(digest_of "$slice")" ]] || todo+=("$name")
    [[ ${name#*-} != "$last" ]] || break
done

# Nothing to do is the usual case, so it comes first and asks for neither uv nor a network.
if ((${#todo[@]} == 0)); then
    [[ -z $trust || ! -x $inside ]] || exit 0
    code=0
    ask verify "$target" "$last" || code=$?
    ((code != 0 && code != 3)) || exit "$code" # 3: the lock itself is at fault
    todo=("${all[@]}")                         # stamped, yet not as locked: look at every stage again
fi

started=$SECONDS
tools=${PAPERLORA_TOOLS:-$(python3 -I "$root/env/bootstrap.py" tools)}
uv=$tools/uv
find_python() {
    local start=python3
    [[ ! -x $tools/python ]] || start=$tools/python # python3 itself may be too old, or a broken shim
    "$start" -I "$root/env/bootstrap.py" python
}
# uv brings its own list of certificate authorities and reads no pip configuration; a network that
# has an authority or an index of its own told the machine and pip about it.
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
    ask runtime "$target"
elif [[ $(version_of "$inside") == none || (-n $python && $(version_of "$python") != "$(version_of "$inside")") ]]; then
    [[ -f $prefix/pyvenv.cfg || ! -e $prefix || -z $(ls -A "$prefix") ]] ||
        fail 2 "$prefix holds something else than an environment → name another folder with --prefix"
    [[ -n $python ]] || python=$(find_python)
    "$uv" venv --quiet --no-project --clear --python "$python" "$prefix" ||
        fail 2 "no environment could be made in $prefix with $python → name another Python with --python"
    todo=("${all[@]}")
fi
mkdir -p "$stamps"
echo "$target" >"$stamps/target"
cd "$root" # so that no other project's uv settings apply; the user's own do

ask heal "$target" || todo=("${all[@]}") # 1: something is to be put back, whatever its stamp says
ask plan "$target" "$last" "$space" "$("$uv" cache dir)"
quiet=(--quiet)
[[ ! -t 2 ]] || quiet=() # on a terminal uv draws its progress
place=0
for name in "${all[@]}"; do
    place=$((place + 1))
    [[ " ${todo[*]} " == *" $name "* ]] || continue
    begun=$SECONDS
    echo "stage $place/${#all[@]} ${name#*-} …" >&2
    echo begun >"$stamps/$name"
    ! grep -q '==' "$slices/$name.txt" || # a Colab runtime may have all of a stage
        "$uv" pip install "${quiet[@]}" --python "$inside" --no-deps --require-hashes --only-binary :all: \
            "${compile[@]}" -r "$slices/$name.txt" 9>&- ||
        fail 4 "stage ${name#*-} could not be installed, see above → run this again; what is done is kept"
    [[ -z $slim ]] || ask slim
    ask probe "${name#*-}" 9>&- ||
        fail 3 "stage ${name#*-} is installed but does not work, see above → $repair"
    digest_of "$slices/$name.txt" >"$stamps/$name"
    echo "stage $place/${#all[@]} ${name#*-} done in $((SECONDS - begun)) s" >&2
done

if ! ask verify "$target" "$last"; then
    mapfile -t surplus < <(ask surplus "$target")
    ((${#surplus[@]} == 0)) || "$uv" pip uninstall --quiet --python "$inside" "${surplus[@]}"
    ask verify "$target" "$last" || fail 3 "$prefix differs from its lock → $repair"
fi
[[ -z $colab ]] || echo 'restart the session (Runtime, Restart session) if this notebook imported transformers or peft before' >&2
echo "environment ready in $((SECONDS - started)) s: $prefix" >&2
