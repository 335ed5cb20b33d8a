"""Promises about the source text of the subject."""

import ast
import re
from pathlib import Path

import pytest

import agents
from agents.modifications import REGISTRY

ROOM = Path(agents.__file__).parent
SOURCES = sorted(ROOM.rglob("*.py"))
BASE = [path for path in SOURCES if "modifications" not in path.relative_to(ROOM).parts]

SEED_GLOBALS = {
    "torch.manual_seed",
    "torch.seed",
    "torch.initial_seed",
    "torch.set_rng_state",
    "torch.random.manual_seed",
    "torch.cuda.manual_seed",
    "torch.cuda.manual_seed_all",
    "torch.default_generator",
}
NUMPY_WITHOUT_GLOBALS = {"np.random.SeedSequence", "np.random.Generator", "np.random.default_rng"}
DRAWS = {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson"}
DRAWS |= {"rand_like", "randn_like", "randint_like", "dropout", "gumbel_softmax"}
DRAWS |= {"uniform_", "normal_", "random_", "bernoulli_", "exponential_", "trunc_normal_"}
DRAWS |= {"xavier_uniform_", "kaiming_uniform_", "orthogonal_", "rsample", "sample_n"}


def dotted(node):
    """The dotted name of an attribute chain, or "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def offences(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            modules = [node.module] if isinstance(node, ast.ImportFrom) else names
            if "random" in modules or "numpy.random" in modules:
                yield node.lineno, "imports a global generator"
        if isinstance(node, ast.Attribute):
            name = dotted(node)
            if name in SEED_GLOBALS:
                yield node.lineno, name
            if re.match(r"(np|numpy)\.random\.\w", name) and name not in NUMPY_WITHOUT_GLOBALS:
                yield node.lineno, name
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            keywords = {keyword.arg for keyword in node.keywords}
            if node.func.attr in DRAWS and "generator" not in keywords:
                yield node.lineno, f"{node.func.attr} without a generator"


def test_the_room_under_test_is_ours():
    assert len(SOURCES) > 20
    assert (ROOM / "dreamer" / "agent.py") in BASE


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOM)))
def test_no_source_touches_a_global_generator(path):
    assert list(offences(path.read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        "torch.manual_seed(3)",
        "import random",
        "from numpy.random import rand",
        "np.random.seed(0)",
        "x = np.random.uniform(0, 1)",
        "torch.rand(3)",
        "weight.uniform_(-1, 1)",
        "nn.init.xavier_uniform_(w)",
    ],
)
def test_the_search_for_global_generators_finds_them(source):
    assert list(offences(source))


def test_the_search_for_global_generators_allows_owned_ones():
    assert not list(offences("torch.Generator().manual_seed(3); torch.rand(3, generator=g)"))


def words_of_code(source):
    """Every name in the syntax tree, and every word of a string that is no docstring."""
    tree, words = ast.parse(source), set()
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        for _, value in ast.iter_fields(node):
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, str) and id(node) not in prose:
                    words |= set(re.findall(r"\w+", item))
    return words


@pytest.fixture(scope="module")
def base_words():
    return {str(path.relative_to(ROOM)): words_of_code(path.read_text()) for path in BASE}


@pytest.mark.parametrize("name", REGISTRY)
def test_no_base_source_names_a_modification(name, base_words):
    names = {name, REGISTRY[name].__name__}
    assert {path: names & words for path, words in base_words.items() if names & words} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import agents.modifications.cutout",
        "from agents import cutout as other",
        "x.cutout = 1",
        "f(cutout=1)",
        "def f(cutout): ...",
        "class cutout: ...",
        "if name == 'cutout': ...",
        "x = f'{y} and cutout/{z}'",
        "match x:\n    case cutout(): ...",
        "global cutout",
    ],
)
def test_the_search_for_names_finds_them(source):
    assert "cutout" in words_of_code(source)


def test_the_search_for_names_lets_prose_be():
    assert "cutout" not in words_of_code('def f():\n    """No cutout."""  # cutout')


def test_the_base_does_not_import_modifications():
    for path in BASE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("agents.modifications"), path
            if isinstance(node, ast.Import):
                assert not any("modifications" in alias.name for alias in node.names), path
