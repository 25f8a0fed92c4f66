"""A script in place of uv: it resolves a few invented packages by their `needs` and constraints."""

import sys

FAKE_UV = f"""#!{sys.executable}
import pathlib, sys
newest = {{"alpha": "1.2", "beta": "2.0", "gamma": "3.0", "uv": "0.9", "nox": "1", "ruff": "7"}}
needs = {{"beta": ["alpha", "gamma"]}}
if sys.argv[1:] == ["--version"]:
    raise SystemExit(print("uv 0.9 (fake)"))
arguments = sys.argv[1:]
folder = pathlib.Path(arguments[arguments.index("--directory") + 1])
def pins(name):
    lines = filter(None, (folder / name).read_text().split("\\n"))
    return dict(line.split(" ")[0].partition("==")[::2] for line in lines)
wanted = pins(arguments[-1])
if "broken" in wanted:
    raise SystemExit(wanted["broken"].replace("_", " "))
held = pins("constraints.txt") if "--constraints" in arguments else {{}}
found, todo = {{}}, list(wanted)
while todo:
    name = todo.pop()
    found[name] = wanted.get(name) or held.get(name) or newest[name]
    todo += [] if "--no-deps" in arguments else [n for n in needs.get(name, []) if n not in found]
for name, version in sorted(found.items()):
    if "pylock.toml" in arguments:
        print(f'[[packages]]\\nname = "{{name}}"\\nversion = "{{version}}"')
        file = f"{{name}}-{{version}}-py3-none-any.whl"
        digest = (name * 64)[:64]
        about = pathlib.Path(sys.argv[0]).with_name(file + ".metadata")
        requires = "".join(f"Requires-Dist: {{n}}\\n" for n in needs.get(name, []))
        about.write_text(f"Name: {{name}}\\nVersion: {{version}}\\n{{requires}}")
        url = about.with_name(file).as_uri()
        print(f'[[packages.wheels]]\\nurl = "{{url}}"\\nsize = 5\\nhashes.sha256 = "{{digest}}"')
    else:
        digest = " \\\\\\n    --hash=sha256:" + "0" * 64 if "--generate-hashes" in arguments else ""
        print(f"{{name}}=={{version}}{{digest}}")
"""
