"""Groups of the files of a corpus: guessed or asked for, split as a whole, and described in the summary."""

from collections import Counter
from collections.abc import Mapping, Sequence

from datasets.benchmark.groups import STEM, group_by, shared_stems
from datasets.corpora.corpus import MAX_LISTED
from datasets.corpora.file_clips import FIELDS, GUESS, NO_GROUPS, FileClipOptions
from datasets.corpora.file_labels import FileLabels
from datasets.corpora.splits import split_files, split_groups
from datasets.utils.errors import EarshotError
from datasets.utils.text import first_few, plural, printable

TOLERANCE = 0.15
"""Guessed groups are used in a class if no split gets a larger or smaller part of the files by more than this."""


def guess_groups(paths: Sequence[str], options: FileClipOptions) -> dict[str, str] | None:
    """Groups of a class whose names share a stem, if its splits stay about as large as by file; else None."""
    if len(paths) < 2:
        return None
    by_file = Counter(split_files(paths, options.train, options.val, options.split_seed).values())

    def accept(groups: Mapping[str, str]) -> bool:
        splits = split_groups({"": groups}, options.train, options.val, options.split_seed)[""]
        by_group = Counter(splits.values())
        return all(
            by_group[split] > 0 and abs(by_group[split] - count) <= TOLERANCE * len(paths)
            for split, count in by_file.items()
        )

    return shared_stems(paths, accept)


def groups_of(classes: Mapping[str, Sequence[str]], options: FileClipOptions) -> dict[str, dict[str, str]]:
    """By class, the group of each file; classes that are split by file are absent.

    Raises:
        EarshotError: files do not match the pattern, or no names share a stem although `stem` was asked for.
    """
    if options.group_from == NO_GROUPS:
        return {}
    if options.group_from == STEM:
        found = {name: groups for name, paths in classes.items() if (groups := guess_groups(paths, options))}
        if not found:
            raise EarshotError(
                "--group-from stem: expected files whose names differ in a take letter or number only, in at least "
                "three groups of a class, found none; give a pattern such as {speaker}_{take}, or none"
            )
        return found
    labels = FileLabels(options.label_from or "1")
    group_of = labels.group if options.group_from == FIELDS else group_by(options.group_from)
    named = {name: {path: group_of(path) for path in paths} for name, paths in classes.items()}
    others = [printable(path) for groups in named.values() for path, group in groups.items() if group is None]
    if others:
        raise EarshotError(
            f"--group-from {printable(options.group_from)}: expected a pattern or level that every file has, found "
            f"{plural(len(others), 'file')} without ({first_few(others)}); change it, or move these files away"
        )
    return {name: {path: str(group) for path, group in groups.items()} for name, groups in named.items()}


def check_groups(
    groups: Mapping[str, Mapping[str, str]],
    splits: Mapping[str, Mapping[str, str]],
    options: FileClipOptions,
    rule: str = "",
    advice: str = "remove these folders, or give another pattern (none: split by file)",
) -> None:
    """Checks that every class has a group in train and one in test.

    Args:
        groups: by class, the group of each file.
        splits: by class, the split of each file.
        options: of the corpus.
        rule: what makes the groups, for the message (default: --group-from).
        advice: what to do apart from more recordings, for the message.

    Raises:
        EarshotError: names all classes without.
    """
    failed = [name for name in groups if not {"train", "test"} <= set(splits[name].values())]
    if not failed:
        return
    rule = rule or f"--group-from {printable(options.group_from)}"
    single = [name for name in failed if len(set(groups[name].values())) == 1]
    if single:
        found = [f"{printable(name)} ({printable(next(iter(groups[name].values())))})" for name in sorted(single)]
        problem = f"only one in {first_few(found, MAX_LISTED)}"
    else:
        names = first_few([printable(name) for name in sorted(failed)], MAX_LISTED)
        problem = f"groups shared with other classes such that {names} get only one of the two"
    raise EarshotError(
        f"{rule}: expected at least one group to train and one to test in every class, found {problem}; add "
        f"recordings, {advice}"
    )


def describe_groups(
    groups: Mapping[str, Mapping[str, str]], classes: Mapping[str, Sequence[str]], options: FileClipOptions
) -> str:
    """How the files were grouped, and how to change it."""
    if not groups:
        return "none, every file by itself (--group-from PATTERN keeps files of a speaker or recording together)"
    members: dict[str, list[str]] = {}
    for of_class in groups.values():
        for path, group in sorted(of_class.items()):
            members.setdefault(group, []).append(path)
    example = max(members.values(), key=len)
    text = f"{len(members)} by {printable(options.group_from)}"
    if options.group_from == FIELDS:
        text = f"{len(members)} by fields of {printable(options.label_from or '')}"
    elif options.group_from == STEM:
        text = f"{len(members)} guessed from names that share a stem"
    text += f", such as {first_few([printable(path) for path in example], 2)}, each in one split"
    if by_file := sorted(printable(name) for name in classes.keys() - groups.keys()):
        text += f"; split by file, as its names give too few groups: {first_few(by_file)}"
    return text + (" (--group-from none: split by file)" if options.group_from == STEM else "")


def crossing_groups(groups: Mapping[str, Mapping[str, str]], splits: Mapping[str, Mapping[str, str]]) -> str:
    """Groups with files in several splits although the splits are given: a clause of a message; "" if there are none.

    Args:
        groups: by class, the group of each file.
        splits: by class, the split of each file.
    """
    found: dict[str, dict[str, str]] = {}
    for name, of_class in groups.items():
        for path, group in of_class.items():
            found.setdefault(group, {}).setdefault(splits[name][path], path)
    crossing = {group: places for group, places in sorted(found.items()) if len(places) > 1}
    if not crossing:
        return ""
    group, places = next(iter(crossing.items()))
    example = ", ".join(f"{printable(path)} in {split}" for split, path in sorted(places.items()))
    total = plural(len(found), "group")
    return f"{len(crossing)} of {total} are in several splits, such as {printable(group)} ({example})"


def resolved_group_rule(classes: Mapping[str, Sequence[str]], options: FileClipOptions, drawn: bool) -> str:
    """What `group_from` means if it is a guess.

    Args:
        classes: the files of each class.
        options: of the corpus.
        drawn: whether the splits are drawn; those that are given are not guessed about.

    Returns:
        `fields` if the pattern of the labels has some, `stem` if names share one in any class, else `none`; an explicit
        rule is unchanged.
    """
    if options.group_from != GUESS:
        return options.group_from
    if options.label_from is not None and FileLabels(options.label_from).has_groups:
        return FIELDS
    found = drawn and any(guess_groups(paths, options) for paths in classes.values())
    return STEM if found else NO_GROUPS
