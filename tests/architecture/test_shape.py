"""Rules on the shape of the code that no linter knows: sizes, documentation, imports."""

from __future__ import annotations

import ast
import functools
import itertools
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "homeostat"
MODULES = sorted(SOURCE.rglob("*.py"))
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60
DOCUMENTED = ("measures", "doors/client", "doors/api", "doors/local.py")

FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


@functools.cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path))


@functools.cache
def functions(path: Path) -> list[tuple[str, FUNCTION]]:
    found = []
    todo: list[tuple[str, ast.AST]] = [("", tree_of(path))]
    while todo:
        prefix, node = todo.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                todo.append((f"{prefix}{child.name}.", child))
            elif isinstance(child, FUNCTION):
                found.append((prefix + child.name, child))
            else:
                todo.append((prefix, child))
    return found


def test_no_module_is_longer_than_400_lines():
    lines = {name_of(path): len(text_of(path).splitlines()) for path in MODULES}
    assert lines
    assert not {name: n for name, n in lines.items() if n > LONGEST_MODULE}


def test_no_function_is_longer_than_60_lines_without_its_docstring():
    long = {
        f"{name_of(path)}: {name}": (node.end_lineno or 0) - node.lineno + 1
        for path in MODULES
        for name, node in functions(path)
        if code_lines(node) > LONGEST_FUNCTION
    }
    assert not long


def code_lines(node: FUNCTION) -> int:
    """Count a function's lines without its docstring, which may be as long as it must."""
    body = node.body
    doc = body[0] if ast.get_docstring(node) else None
    told = (doc.end_lineno or 0) - doc.lineno + 1 if doc is not None else 0
    return (node.end_lineno or 0) - node.lineno + 1 - told


OURS = [path for path in MODULES if "migrations" not in path.parts]  # Alembic's shape


def test_every_module_says_what_it_is():
    silent = [
        name_of(path)
        for path in OURS
        if text_of(path).strip() and not ast.get_docstring(tree_of(path))
    ]
    assert not silent


PUBLIC = [path for path in MODULES if name_of(path).startswith(DOCUMENTED)]


def test_public_functions_are_documented():
    assert PUBLIC
    silent = [
        f"{name_of(path)}: {name}"
        for path in PUBLIC
        for name, node in functions(path)
        if not any(part.startswith("_") for part in name.split("."))
        and not ast.get_docstring(node)
        and not is_overload(node)
        and not is_field(node)
    ]
    assert not silent


def is_overload(node: FUNCTION) -> bool:
    return any("overload" in ast.unparse(mark) for mark in node.decorator_list)


def is_field(node: FUNCTION) -> bool:
    return len(node.body) == 1 and ast.unparse(node.body[0]) == "..."


def sections(node: FUNCTION) -> dict[str, set[str]]:
    """Return the names under each numpydoc heading of a function."""
    lines = (ast.get_docstring(node) or "").splitlines()
    found: dict[str, set[str]] = {}
    heading = ""
    for line, below in itertools.pairwise([*lines, ""]):
        if line and set(below) == {"-"}:
            heading = line
            found[heading] = set()
        elif heading and line and not line.startswith((" ", "-")):
            names = line.split(":")[0].split(",")
            found[heading] |= {name.strip().lstrip("*") for name in names}
    return found


def parameters(node: FUNCTION) -> set[str]:
    asked = node.args
    named = [*asked.posonlyargs, *asked.args, *asked.kwonlyargs]
    named += [one for one in (asked.vararg, asked.kwarg) if one is not None]
    return {one.arg for one in named} - {"self", "cls"}


def raised(node: FUNCTION) -> set[str]:
    """Return the errors that a function's own lines raise by name."""
    found = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Raise) and inner.exc is not None:
            error = inner.exc.func if isinstance(inner.exc, ast.Call) else inner.exc
            found.add(ast.unparse(error).rpartition(".")[2])
    return {name for name in found if name[0].isupper()}


def answers(node: FUNCTION) -> bool:
    return node.returns is not None and ast.unparse(node.returns) not in {"None", "NoReturn"}


def told_in(paths: list[Path]) -> list[tuple[str, FUNCTION]]:
    """Return the public functions whose docstring must tell what they take and give."""
    found = [
        (f"{name_of(path)}: {name}", node) for path in paths for name, node in functions(path)
    ]
    assert found
    return [
        (name, node)
        for name, node in found
        if not any(part.startswith("_") for part in name.rpartition(": ")[2].split("."))
        and not is_overload(node)
        and not is_field(node)
        and not any("property" in ast.unparse(mark) for mark in node.decorator_list)
    ]


MEASURES = [path for path in MODULES if name_of(path).startswith("measures/")]
DOORS = [path for path in PUBLIC if path not in MEASURES]


def test_measures_document_every_parameter_what_they_return_and_what_they_raise():
    missing = {}
    for name, node in told_in(MEASURES):
        there = sections(node)
        gone = parameters(node) - there.get("Parameters", set())
        gone |= raised(node) - there.get("Raises", set())
        if answers(node) and "Returns" not in there:
            gone.add("Returns")
        if gone:
            missing[name] = gone
    assert not missing


ENDPOINTS = ({"call"}, {"_"})  # what they take and answer is in the table of routes


def test_sdk_and_api_document_parameters_returns_and_errors_where_the_summary_does_not():
    missing = {}
    for name, node in told_in(DOORS):
        doc, there = ast.get_docstring(node) or "", sections(node)
        is_endpoint = parameters(node) in ENDPOINTS
        gone = set() if is_endpoint else raised(node) - there.get("Raises", set())
        if len(parameters(node)) > 1:
            gone |= parameters(node) - there.get("Parameters", set())
        says = doc.startswith(("Return", "Yield", "Say")) or {"Returns", "Yields"} & set(there)
        if answers(node) and not says and not is_endpoint:
            gone.add("Returns")
        if gone:
            missing[name] = {word for word in gone if not (word[0].isupper() and word in doc)}
    assert not {name: gone for name, gone in missing.items() if gone}


def test_a_parameter_named_only_in_passing_is_not_documented():
    doc = "Return n.\n\n    Parameters\n    ----------\n    x\n        X.\n    "
    code = f'def f(n, x):\n    """{doc}"""\n'
    (node,) = ast.parse(code).body
    assert parameters(node) - sections(node)["Parameters"] == {"n"}


BANNED_NAMES = {"utils", "helpers", "common", "manager", "handler", "base", "misc"}


def test_no_module_has_a_name_that_says_nothing():
    assert not [name_of(path) for path in MODULES if path.stem in BANNED_NAMES]


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout


def test_importing_homeostat_loads_nothing_heavy():
    heavy = "sklearn polars numpy pandas scipy sqlalchemy httpx starlette msgspec pyarrow"
    code = f"import sys, homeostat; print([m for m in {heavy.split()!r} if m in sys.modules])"
    assert run_python(code).strip() == "[]"


def test_help_of_the_command_line_loads_no_server_and_no_client():
    code = (
        "import sys\n"
        "from homeostat.doors import cli\n"
        "code = cli.invoke(['--help'])\n"
        "heavy = 'uvicorn httpx starlette sqlalchemy polars numpy rich'.split()\n"
        "print('LOADED', code, [m for m in heavy if m in sys.modules])\n"
    )
    assert run_python(code).splitlines()[-1] == "LOADED 0 []"


def test_the_server_process_does_not_load_what_only_training_needs():
    code = (
        "import sys\n"
        "import homeostat.doors.local, homeostat.doors.cli.server\n"
        "heavy = 'sklearn scipy pandas pyarrow skops'.split()\n"
        "print([m for m in heavy if m in sys.modules])\n"
    )
    assert run_python(code).strip() == "[]"


def test_floors_are_kept():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout
