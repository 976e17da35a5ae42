"""Every check of portml; plain `nox` runs what needs no GPU, no PyTorch and no other repository.

nox                                   the tests on NumPy and on the strict stand-in for a GPU, and all that follows
nox -s "tests(cupy)"                  the tests on a GPU; fails where none answers
nox -fb none -s "tests(cupy)"         the same with the Python that runs nox
nox -s parity -- numpy cupy           the same cases on two backends, compared within the table of tolerances
nox -s oracle                         layers, losses and optimizers beside PyTorch's
nox -s conformance -- CLONE           data-apis/array-api-tests on the differentiable namespace
"""

from __future__ import annotations

import os
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True
nox.options.sessions = [
    "lint",
    "typing",
    "tests(numpy)",
    "tests(strict)",
    "agnostic",
    "jit",
    "parity",
    "kernels",
    "minimum",
    "package",
]

ROOT = Path(__file__).parent
PROJECT_FILE = nox.project.load_toml("pyproject.toml")
PROJECT = PROJECT_FILE["project"]
EXTRAS = PROJECT["optional-dependencies"]
TEST = ("pytest", "pytest-xdist", "hypothesis", "array-api-strict")
# What the estimators are compared with, and what a user hands them.
TEST_ALL = (*TEST, "scikit-learn", "pandas", "polars")

# About what array-api-compat's own NumPy namespace gets of 1,384 tests at five examples each; a fixed seed makes the
# count repeatable.
CONFORMANCE_FAILED_AT_MOST = 27
CONFORMANCE_PASSED_AT_LEAST = 1352
INSTALLED_AT_MOST_MB = 100

# Two workers share the cores; threads of BLAS on top would only fight.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@nox.session
@nox.parametrize("backend", ["numpy", "strict", "cupy"], ids=["numpy", "strict", "cupy"])
def tests(session: nox.Session, backend: str) -> None:
    """Run the whole suite on one backend; `cupy` fails, and never skips, where no GPU answers."""
    install(session, *PROJECT["dependencies"], *EXTRAS["cli"], *EXTRAS["parallel"], *named(*TEST_ALL))
    if backend == "cupy":
        install(session, *EXTRAS["cupy"])
    # Tests share one GPU, so they run one after the other there.
    # What needs no backend has run in tests(numpy); a machine with a GPU may run that session alone.
    alone = ("--backend-only",) if backend == "strict" else ()
    pytest(session, "--backend", backend, *alone, workers=0 if backend == "cupy" else 2)


@nox.session
def agnostic(session: nox.Session) -> None:
    """Run every test of a backend with the from-scratch bodies alone, no override anywhere."""
    install(session, *PROJECT["dependencies"], *EXTRAS["cli"], *EXTRAS["parallel"], *named(*TEST_ALL))
    pytest(session, "--backend", "numpy", "--backend-only", environment={"PORTML_KERNELS": "agnostic"})


@nox.session
def jit(session: nox.Session) -> None:
    """Run the kernels and the estimators with Numba's versions before NumPy's own."""
    install(session, *PROJECT["dependencies"], *EXTRAS["jit"], *EXTRAS["parallel"], *named(*TEST_ALL))
    pytest(session, "tests/backends", "tests/classical", "tests/nn", "--backend", "numpy")


@nox.session
def parity(session: nox.Session) -> None:
    """Run the same cases on two backends and compare: `nox -s parity -- numpy cupy`; by default numpy and strict."""
    pair = session.posargs or ["numpy", "strict"]
    if len(pair) != 2:
        session.error(f"expected two backends, as in `nox -s parity -- numpy cupy`, got {pair}")
    install(session, *PROJECT["dependencies"], *named(*TEST))
    if "cupy" in pair:
        install(session, *EXTRAS["cupy"])
    named_pair = ",".join(pair)
    pytest(session, "tests/backends", "-m", "parity", "--backend", named_pair, "--parity", named_pair, posargs=False)


@nox.session
def kernels(session: nox.Session) -> None:
    """Compile every CUDA kernel for sm_80 and sm_90, and execute every one on the host; needs g++ and no GPU."""
    if shutil.which("g++") is None:
        session.error(
            "g++ is needed to execute CUDA kernels on the host; install it, on Debian with apt-get install g++"
        )
    install(session, *PROJECT["dependencies"], *named(*TEST, "nvidia-cuda-nvrtc"))
    # A file stays with one worker, so that it can tell at its end which kernels were executed.
    pytest(session, "tests/backends", "tests/cuda_on_host", "-m", "nvrtc or cuda_on_host", "--dist=loadfile")


@nox.session
def minimum(session: nox.Session) -> None:
    """Run the tests on NumPy with the lowest versions of what portml needs to run."""
    lowest = [re.sub(r">=", "==", requirement) for requirement in PROJECT["dependencies"]]
    install(session, *lowest, *EXTRAS["cli"], *EXTRAS["parallel"], *named(*TEST_ALL))
    pytest(session, "--backend", "numpy")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    install(session, *named("ruff"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    """Check types: strictly in the shim, the generator, the differentiable array and the optimizers."""
    install(session, *PROJECT["dependencies"], *EXTRAS["cli"], *EXTRAS["jit"], *named("mypy", "array-api-strict"))
    session.run("mypy")


@nox.session
def package(session: nox.Session) -> None:
    """Build the wheel and the source archive, and install from each, and from a checkout without links."""
    install(session, "build", *PROJECT_FILE["build-system"]["requires"])
    temporary = Path(session.create_tmp()).resolve()
    shutil.rmtree(temporary)
    source = checkout_without_links(temporary / "checkout")
    session.run("python", "-m", "build", "--no-isolation", "--outdir", str(temporary), str(ROOT), silent=True)
    (wheel,), (archive,) = temporary.glob("*.whl"), temporary.glob("*.tar.gz")
    session.log(
        f"{wheel.name} {wheel.stat().st_size / 1e6:.2f} MB, {archive.name} {archive.stat().st_size / 1e6:.2f} MB"
    )
    for number, installable in enumerate((wheel, archive, source)):
        try_installed(session, installable, temporary / f"installed{number}")


@nox.session(venv_backend="virtualenv")
def oracle(session: nox.Session) -> None:
    """Compare with PyTorch, SciPy, ONNX and others, which pip installs, as only pip finds the CPU build of PyTorch.

    Speech to detect is spoken by espeak-ng, which is Debian's package of that name.
    """
    peers = ("torch==2.13.0", "scipy", "onnx", "onnxruntime", "sacrebleu", "silero-vad")
    install(session, *peers, *PROJECT["dependencies"], *EXTRAS["cli"], *EXTRAS["text"], *named(*TEST))
    pytest(session, "-m", "oracle")


@nox.session
def conformance(session: nox.Session) -> None:
    """Run data-apis/array-api-tests on `portml.autograd.namespace`; takes the path of a clone with its submodule."""
    clone = Path(next(iter(session.posargs), os.environ.get("ARRAY_API_TESTS", "")))
    if not (clone / "array_api_tests").is_dir() or not any((clone / "array-api").glob("*")):
        session.error(
            "expected a clone of data-apis/array-api-tests with its submodule: "
            "`nox -s conformance -- CLONE`, or its path in ARRAY_API_TESTS"
        )
    install(session, *PROJECT["dependencies"], *named("pytest", "hypothesis", "ndindex", "pytest-json-report"))
    results = Path(session.create_tmp()).resolve() / "conformance.xml"
    with session.chdir(clone):
        session.run(
            *(
                "python",
                "-m",
                "pytest",
                "array_api_tests",
                "--max-examples=5",
                "--hypothesis-seed=0",
                "-q",
                "--no-header",
            ),
            *("-p", "no:cacheprovider", "--tb=no", f"--junit-xml={results}"),
            env={"ARRAY_API_TESTS_MODULE": "portml.autograd.namespace", "PYTHONPATH": str(ROOT)},
            success_codes=[0, 1],
        )
    (suite,) = ElementTree.parse(results).getroot().iter("testsuite")
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    passed = int(suite.get("tests", 0)) - failed - int(suite.get("skipped", 0))
    session.log(f"array-api-tests: {passed} passed, {failed} failed of {suite.get('tests')}")
    if failed > CONFORMANCE_FAILED_AT_MOST or passed < CONFORMANCE_PASSED_AT_LEAST:
        session.error(
            f"at most {CONFORMANCE_FAILED_AT_MOST} may fail and at least {CONFORMANCE_PASSED_AT_LEAST} must pass"
        )


def install(session: nox.Session, *requirements: str) -> None:
    """Install into the session's environment; with `-fb none` the current Python has to have them."""
    if session.virtualenv.is_sandboxed:
        session.install(*requirements)


def named(*names: str) -> list[str]:
    """The requirements of the extra `dev` for these packages, with their versions."""
    of = {re.match(r"[\w-]+", requirement)[0]: requirement for requirement in EXTRAS["dev"]}
    return [of[name] for name in names]


def pytest(
    session: nox.Session,
    *arguments: str,
    workers: int = 2,
    environment: dict[str, str] | None = None,
    posargs: bool = True,
) -> None:
    """Run pytest on this checkout."""
    parallel = ["-n", str(workers)] if workers else []
    given = session.posargs if posargs else []
    session.run(
        *("python", "-m", "pytest", "-q", *parallel, *arguments, *given), env={**ONE_THREAD, **(environment or {})}
    )


def checkout_without_links(copy: Path) -> Path:
    """A copy of what is built from, as git leaves it where the file system has no links: the link is a text file."""
    shutil.copytree(ROOT / "portml", copy / "portml", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    (copy / "backends").write_text("portml/backends")
    return copy


def try_installed(session: nox.Session, installable: Path, folder: Path) -> None:
    """Install into a folder of its own, away from the checkout, use it, and weigh it."""
    session.install("--target", str(folder), str(installable))
    code = (
        "import portml, pathlib, importlib.util; "
        f"assert pathlib.Path(portml.__file__).parents[1] == pathlib.Path({str(folder)!r}); "
        "assert importlib.util.find_spec('backends') is None, 'the link was packaged'; "
        "assert (pathlib.Path(portml.__file__).parent / 'py.typed').exists(); "
        "print(portml.__version__, portml.get_backend('numpy'))"
    )
    with session.chdir(folder):
        session.run("python", "-W", "error", "-c", code, env={"PYTHONPATH": str(folder)})
        session.run("python", str(folder / "bin" / "portml"), "--help", env={"PYTHONPATH": str(folder)}, silent=True)
    megabytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    session.log(f"installed from {installable.name}: {megabytes:.0f} MB in all")
    if megabytes > INSTALLED_AT_MOST_MB:
        session.error(f"what a user installs must stay under {INSTALLED_AT_MOST_MB} MB")
