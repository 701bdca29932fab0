"""Generate ``meshwire`` from its ``.proto`` files: ``python proto/generate.py [--check]``.

The output is committed, so that installing needs no compiler, and compared by ``make check``.
"""

import hashlib
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

_ROOT = Path(__file__).resolve().parent
_SOURCES = tuple(sorted((_ROOT / "meshwire").rglob("*.proto")))


def _header(source: Path) -> str:
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    name = source.relative_to(_ROOT).as_posix()
    return f"# Generated from {name} (sha256 {digest}) by proto/generate.py. Do not edit.\n"


def _compile(target: Path) -> None:
    arguments = [
        "protoc",
        f"-I{_ROOT}",
        f"--python_out={target}",
        f"--pyi_out={target}",
        f"--grpc_python_out={target}",
        *(str(source) for source in _SOURCES),
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc refused the sources; see above")


def main(*, check: bool) -> int:
    """Write the generated modules, or with *check* return 1 if they are out of date."""
    stale: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        _compile(Path(folder))
        for source in _SOURCES:
            for suffix in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py"):
                relative = source.relative_to(_ROOT).with_name(source.stem + suffix)
                text = _header(source) + (Path(folder) / relative).read_text(encoding="utf-8")
                target = _ROOT / relative
                if target.exists() and target.read_text(encoding="utf-8") == text:
                    continue
                stale.append(relative.as_posix())
                if not check:
                    target.write_text(text, encoding="utf-8")
    if check and stale:
        sys.stderr.write(f"out of date: {', '.join(stale)}; run python proto/generate.py\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(check="--check" in sys.argv[1:]))
