"""Removes mirrors of sources that are gone: they hold people's code."""

import logging
import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

_UID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def remove_strays(folder: Path, living: Collection[str]) -> None:
    """Delete each mirror in *folder* whose source's uid is not among the *living*. Blocking.

    What is not called like one is left alone; what cannot be deleted is tried at the next start.
    """
    for mirror in folder.iterdir():
        if not _UID.fullmatch(mirror.name) or mirror.name in living or mirror.is_symlink():
            continue
        try:
            shutil.rmtree(mirror)
        except OSError as exc:
            logger.warning("mirror not removed", extra={"key": mirror.name, "reason": str(exc)})
        else:
            logger.info("mirror removed", extra={"key": mirror.name})
