"""Recordings that are given as paths: files, and folders of files."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from datasets.audio.ffmpeg import SUFFIXES, find_ffmpeg
from datasets.audio.recordings import readable_suffixes


@dataclass(frozen=True)
class RecordingFile:
    """A file, or a folder in which none can be found.

    Attributes:
        path: as given, or inside a folder as given.
        error: why there is nothing to read; empty for a file.
    """

    path: str
    error: str = ""


def recording_files(paths: Iterable[str]) -> Iterator[RecordingFile]:
    """The files to be read, in the order of the paths; those of a folder in the order of their names.

    A folder stands for the files in it and its subfolders whose suffix is that of a format that libsndfile reads,
    or ffmpeg if it is installed.
    Hidden files and folders are skipped, links to folders are not followed. Any other path stands for itself.
    """
    for path in paths:
        if Path(path).is_dir():
            yield from _files_in(path)
        else:
            yield RecordingFile(path)


def _files_in(root: str) -> Iterator[RecordingFile]:
    suffixes, found = readable_suffixes() | (SUFFIXES if find_ffmpeg() else frozenset()), False
    unreadable: list[OSError] = []
    for folder, folders, names in os.walk(root, onerror=unreadable.append):
        while unreadable:
            yield _unreadable(unreadable.pop(0))
            found = True
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes:
                yield RecordingFile(str(Path(folder, name)))
                found = True
    for error in unreadable:
        yield _unreadable(error)
        found = True
    if not found:
        yield RecordingFile(root, "a folder without recordings: no file in it has a suffix such as .wav, .flac or .mp3")


def _unreadable(error: OSError) -> RecordingFile:
    return RecordingFile(str(error.filename), f"the folder cannot be read ({error.strerror})")
