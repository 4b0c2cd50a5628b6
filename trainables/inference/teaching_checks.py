"""What a model can be taught, and what it can forget: checks before anything is read or changed."""

from collections.abc import Iterable, Mapping, Sequence

from datasets.corpora.labels import MAX_LABEL, plain_label
from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion
from datasets.utils.text import plural, printable
from datasets.utils.validation import validated
from trainables.inference.description import Description, ExportedClass
from trainables.learners.learner import Learner, Needs


def needs_of(description: Description, method: type[Learner]) -> Needs:
    """What the method of a model requires under its settings."""
    return method.needs(validated(method.Settings, description.settings, "model.json: settings"))


def cannot_teach(description: Description, method: type[Learner]) -> str:
    """Why a model cannot learn more classes; empty if it can."""
    needs = needs_of(description, method)
    if needs.everything:
        return f"{description.method} trains again on every clip of the classes so far, and a model has no clips"
    if needs.exemplars:
        return (
            f"{description.method} rehearses {plural(needs.exemplars, 'clip')} of every class, and a model has no clips"
        )
    return ""


def cannot_forget(description: Description, method: type[Learner]) -> str:
    """Why a model cannot forget a class; empty if its method can."""
    if method.forgets:
        return ""
    return f"{description.method} has no way to remove a class exactly"


def check_can_teach(description: Description, method: type[Learner]) -> None:
    """Checks that a model can learn more classes.

    Raises:
        EarshotError: it cannot; says why.
    """
    if reason := cannot_teach(description, method):
        raise EarshotError(f"this model cannot be taught: {reason}; run the chain with the new classes, and export it")


def check_new_names(names: Sequence[str], known: Iterable[str]) -> None:
    """Checks the names of classes that a model is to learn.

    Args:
        names: of the new classes.
        known: of the classes that the model knows.

    Raises:
        EarshotError: a name cannot be one, or is that of another class, up to case, spaces and hyphens.
    """
    spelled = {plain_label(name): name for name in known}
    for name in names:
        shown = printable(repr(name))
        if not name.strip() or not name.isprintable() or len(name) > MAX_LABEL or name != name.strip():
            raise EarshotError(
                f"class {shown}: expected a name of 1 to {MAX_LABEL} printable characters, without spaces at its ends"
            )
        if "/" in name or "\\" in name:
            raise EarshotError(f"class {shown}: expected a name without / and \\; is it a recording without a class?")
        before = spelled.get(plain_label(name))
        if before is not None:
            spelling = "" if before == name else f" as {printable(repr(before))}"
            raise EarshotError(
                f"class {shown}: known already{spelling}; give it another name, or forget the class first and teach it "
                "with all its recordings"
            )
        spelled[plain_label(name)] = name


def check_counts(method: str, needs: Needs, clips: Mapping[str, int], *, first: bool = False) -> None:
    """Checks that a session has the classes and clips that a method needs.

    Args:
        method: its name.
        needs: of the method.
        clips: number of clips by the name of each new class.
        first: whether this is the first session.

    Raises:
        EarshotError: it has not; says why the method needs them.
    """
    because = f" ({needs.why})" if needs.why else ""
    classes, shots = needs.new_classes, needs.shots
    if first:
        classes, shots = needs.base_classes, max(needs.shots, needs.base_shots)
    if len(clips) < classes:
        raise EarshotError(
            f"{method} needs at least {classes} new classes at once{because}, found {len(clips)}; give more"
        )
    for name, count in clips.items():
        if count < shots:
            raise EarshotError(
                f"class {printable(repr(name))}: {method} needs at least {plural(shots, 'clip')} of a class{because}, "
                f"found {count}; give more recordings"
            )


def check_text_tower(description: Description, method: type[Learner], text: object) -> None:
    """Checks that a method that learns from the names of classes can read them.

    Args:
        description: of the model.
        method: its method.
        text: tower of its backbone; None if there is none.

    Raises:
        EarshotError: it needs one.
    """
    entry = description.backbone
    settings = validated(method.Settings, description.settings, "model.json: settings")
    if text is None and entry is not None and "text" in method.capabilities(settings):
        raise EarshotError(
            f"{description.method} learns from the names of classes, with the text tower of its backbone, which is not "
            f"in the model; add --backbone {printable(entry.name)}"
        )


def find_classes(description: Description, method: type[Learner], names: Sequence[str]) -> list[ExportedClass]:
    """The classes of a model that are to be forgotten.

    Raises:
        EarshotError: the method cannot forget, there is no such class or several of one name, or none would remain.
    """
    if reason := cannot_forget(description, method):
        raise EarshotError(f"this model cannot forget: {reason}; run the chain without the class, and export it")
    found: dict[int, ExportedClass] = {}
    for name in names:
        matches = [entry for entry in description.classes if entry.name == name]
        if len(matches) != 1:
            known = [printable(entry.name) for entry in description.classes]
            what = f"{len(matches)} classes have this name" if matches else f"not known; {suggestion(name, known)}"
            raise EarshotError(f"class {printable(repr(name))}: {what}")
        found[matches[0].label] = matches[0]
    if len(found) == len(description.classes):
        raise EarshotError("these are all classes that the model knows; one must stay")
    return list(found.values())


def new_labels(description: Description, names: Sequence[str]) -> list[int]:
    """Labels of new classes: a class of the benchmark has its own; others follow, and no label is used twice."""
    named = {name: label for label, name in enumerate(description.benchmark.class_names)}
    used = {entry.label for entry in description.classes}
    past = {one.label for entry in description.history for one in entry.classes}
    free = max(used | past | {len(named) - 1}) + 1
    labels: list[int] = []
    for name in names:
        label = named.get(name)
        if label is None or label in used:
            label, free = free, free + 1
        labels.append(label)
        used.add(label)
    return labels
