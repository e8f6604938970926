"""What the documentation prints can be typed: commands, code, names, links. Nothing is trained.

Every block of commands says which test runs it or what it needs (see `documentation.py`). Here the
flags of each `python -m simclr_tf.run` go through the real door, and every name is looked up.
"""

from __future__ import annotations

import ast
import re
import shlex
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from absl import flags

import simclr_tf
from simclr_tf import flag_definitions
from simclr_tf.run import main
from tests.documentation import PAGES, ROOT, Block, blocks, logical_lines, name_of, prose

README = ROOT / "README.md"
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
# tpu/README.md is about scripts of its own, which tests/tpu runs.
MARKED = [page for page in PAGES if page.parent != ROOT / "tpu"]
BLOCKS = [block for page in MARKED for block in blocks(page)]
LANGUAGES = {"bash", "python", "text"}
RUN = re.compile(r"python -m simclr_tf\.run\b([^|;&]*)")

# Flags of the programs of others.
FOREIGN_FLAGS = {
    *("model_base_path", "model_config_file"),  # TensorFlow Serving
    *("enable_batching", "batching_parameters_file"),
    "logdir",  # TensorBoard
    "queued",  # tpu/create
    *("dir", "all", "tag_set", "signature_def", "inputs"),  # saved_model_cli
    *("help", "helpshort", "helpfull", "version", "flagfile"),  # absl
}


def test_the_readme_is_short() -> None:
    assert len(README.read_text().split()) <= 1800  # as `wc -w` counts


def test_blocks_have_a_language_and_commands_stand_in_blocks() -> None:
    for block in BLOCKS:
        assert block.language in LANGUAGES, block
    for page in MARKED:
        indented = re.findall(r"^ {4}(?:python|make|pip|docker|curl|export) .*", prose(page), re.M)
        assert not indented, f"{page}: {indented}"


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_says_who_runs_it(block: Block) -> None:
    if block.language == "bash":
        assert block.tests or block.needs, f"{block}: neither `test:` nor `needs:` before it"
    for test in block.tests:
        path, _, name = test.partition("::")
        assert name in functions_of(ROOT / path), f"{block}: there is no {test}"


def commands() -> Iterator[tuple[str, str]]:
    """Yields where a `python -m simclr_tf.run` stands, and its flags."""
    scripts = [(str(block), block.text) for page in PAGES for block in blocks(page)]
    for page in PAGES:
        text = prose(page)
        scripts += [(name_of(page), line) for line in re.findall(r"`([^`]+)`", text)]
        scripts.append((name_of(page), "\n".join(re.findall(r"^ {4}(.*)", text, re.M))))
    for recipe in ROOT.glob("flags/*.flags"):
        header = re.findall(r"^# ?(.*)", recipe.read_text(), re.M)
        scripts.append((name_of(recipe), "\n".join(header)))
    for place, script in scripts:
        for line in logical_lines(script):
            yield from ((place, words.strip()) for words in RUN.findall(line))


COMMANDS = sorted(set(commands()))


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """The command, flags and checks of flags, with nothing behind them; returns the status."""
    workflows = types.ModuleType("simclr_tf.workflows")
    workflows.run = lambda config: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "simclr_tf.workflows", workflows)
    monkeypatch.setattr(simclr_tf, "workflows", workflows, raising=False)
    monkeypatch.setattr("gc.collect", lambda: 0)  # takes most of the time, and finds nothing
    monkeypatch.chdir(ROOT)

    def call(words: str) -> int:
        given = shlex.split(words, comments=True)
        return main(["simclr_tf", *(word for word in given if word != "...")])

    return call


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 20


@pytest.mark.parametrize(("place", "words"), COMMANDS)
def test_flags_of_a_command_are_taken(place: str, words: str, door, capsys) -> None:
    assert door(words) == 0, f"{place}: {words}\n{capsys.readouterr().err}"


def test_a_command_that_cannot_work_is_noticed(door, capsys) -> None:
    assert door("--temperature=0") == door("--no_such_flag") == door("stray") == 2


@pytest.mark.parametrize("page", MARKED, ids=name_of)
def test_flags_exist(page: Path) -> None:
    values = flags.FlagValues()
    flag_definitions.define(values)
    folders = (ROOT / "simclr_tf", ROOT / "benchmarks")
    sources = "".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    others = re.findall(r'\b(?:add|add_argument)\(\s*"--(\w+)"', sources)
    known = {*values, *(f"no{name}" for name in values), *others, *FOREIGN_FLAGS}
    named = set(re.findall(r"(?<![\w-])--([a-z_]\w*)", page.read_text()))
    assert named <= known


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_exist(page: Path) -> None:
    folders = "flags|tests|benchmarks|docs|simclr_tf|tpu"
    named = re.findall(rf"(?<![\w/.-])((?:{folders})/[\w./*-]*[\w*])", page.read_text())
    named += re.findall(r"(?<![\w/.-])(requirements[\w-]*\.txt)", page.read_text())
    made_up = re.compile(r"[A-Z]{3}|_x\b|^tpu/env$")  # NAME, test_x.py, what the reader makes
    missing = [
        name
        for name in named
        if not (made_up.search(name) or list(ROOT.glob(name)) or list(page.parent.glob(name)))
    ]
    assert not missing


def test_make_knows_its_targets() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    for page in PAGES:
        code = [block.text for block in blocks(page)] + re.findall(r"`([^`]+)`", prose(page))
        named = re.findall(r"^(?:\w+=\S+ )*make ([a-z]+)", "\n".join(code), re.M)
        assert set(named) <= set(targets), page


PYTHON = [block for block in BLOCKS if block.language == "python"]


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_compiles_and_runs_unless_it_says_who_runs_it(block, tmp_path, monkeypatch) -> None:
    compiled = compile(block.text, str(block), "exec")
    if not (block.tests or block.needs):
        monkeypatch.chdir(tmp_path)
        exec(compiled, {"__name__": "documentation"})


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue  # elsewhere on the web
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{name_of(page)} links {target}"
        assert not anchor or anchor in anchors_of(linked), f"{name_of(page)} links {target}"


def anchors_of(page: Path) -> set[str]:
    """Returns the anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)", prose(page), re.M)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in words}


def test_the_map_knows_every_folder_and_every_file_beside_them() -> None:
    rows = re.findall(r"^\| `([\w/.]+)` \|", ARCHITECTURE.read_text(), re.M)
    package = ROOT / "simclr_tf"
    folders = {f"{path.parent.name}/" for path in package.glob("*/*.py")}
    files = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    assert sorted(rows) == sorted(folders | files)


def test_the_map_names_what_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py):([\w.]+)`", ARCHITECTURE.read_text())
    assert len(named) > 30
    missing = [
        f"{path}:{name}"
        for path, name in named
        if not (ROOT / "simclr_tf" / path).exists()
        or name not in functions_of(ROOT / "simclr_tf" / path)
    ]
    assert not missing


def functions_of(path: Path) -> set[str]:
    """Returns the functions, classes and values of a file, and `Class.method`."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
            for member in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(member, ast.FunctionDef):
                    names.add(f"{node.name}.{member.name}")
    return names
