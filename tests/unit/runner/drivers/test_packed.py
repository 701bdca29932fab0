import gzip
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.drivers.packed import BLOCK_BYTES, Packed, pack, unpacked

SAMPLE = b"".join(b"%d lines of output\r\n" % number for number in range(60_000))


@pytest.mark.parametrize("length", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 999_999])
def test_any_gzip_reads_what_was_packed(tmp_path: Path, length: int) -> None:
    source, target = tmp_path / "a", tmp_path / "a.gz"
    source.write_bytes(SAMPLE[:length])
    pack(source, target)
    assert gzip.decompress(target.read_bytes()) == SAMPLE[:length]
    assert unpacked(target) == SAMPLE[:length]
    assert [path.name for path in tmp_path.iterdir()] == ["a", "a.gz"]
    assert target.stat().st_mode & 0o777 == 0o600


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    (folder / "a").write_bytes(SAMPLE)
    pack(folder / "a", folder / "a.gz")
    return folder / "a.gz"


@given(offset=st.integers(0, len(SAMPLE) + 10), limit=st.integers(0, 600_000))
def test_any_part_is_read_alone(sample: Path, offset: int, limit: int) -> None:
    with Packed(sample) as packed:
        assert b"".join(packed.read(offset, limit)) == SAMPLE[offset : offset + limit]


def test_output_becomes_much_smaller(sample: Path) -> None:
    assert sample.stat().st_size < len(SAMPLE) / 4


def test_what_is_not_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.gz"
    for content in (b"", b"text", gzip.compress(b"text"), zlib.compress(b"text" * 100)):
        path.write_bytes(content)
        with pytest.raises(OSError, match="damaged"):
            unpacked(path)


def test_a_file_cut_short_is_an_error(sample: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(sample.read_bytes()[:-1])
    with pytest.raises(OSError, match="damaged"):
        unpacked(path)
