"""`README.md` of an exported model."""

from datasets.utils.text import plural, printable
from trainables.inference.description import Description
from trainables.inference.teaching_checks import cannot_forget, cannot_teach
from trainables.learners.learner import Learner

ONE_BATCH = (
    "Transductive: the recordings of one command are classified as one batch, so a result depends on all of them."
)


def readme(model: Description, method: type[Learner]) -> str:
    """The text for people who find the folder.

    Args:
        model: its description.
        method: its method.
    """
    seconds = model.num_samples / model.sample_rate
    loudness = "normalised to -23 LUFS (EBU R128)" if model.loudness else "loudness as recorded"
    training = model.training
    batch = f"{ONE_BATCH}\n" if method.transductive else ""
    learned = f"Learned from {training.clips} of {training.of} train clips.\n" if training else ""
    return f"""\
# {printable(model.trial)}

Method `{model.method}`, heads {", ".join(model.heads)}; {len(model.classes)} classes after session {model.session}.
Clips: {seconds:g} s at {model.sample_rate} Hz, {loudness}.
{learned}{batch}
```sh
earshot predict DIR recording.wav --top 5
earshot predict DIR recording.wav --windows --json
```

DIR is this folder. `model.json` lists the classes, the configuration and their origin; `parts/` contains what the
method learned (safetensors){", `backbone/` the pretrained network (`transformers`)" if model.backbone else ""}.

## More classes, fewer classes

{_changes(model, method)}{_history(model)}"""


def _changes(model: Description, method: type[Learner]) -> str:
    commands, reasons = [], []
    if reason := cannot_teach(model, method):
        reasons.append(f"It cannot be taught: {printable(reason)}.\n")
    else:
        commands.append("earshot teach DIR --class NAME recordings/ --out NEW")
    if reason := cannot_forget(model, method):
        reasons.append(f"It cannot forget: {printable(reason)}.\n")
    else:
        commands.append("earshot forget DIR --class NAME --out NEW")
    lines = "\n".join(commands)
    return (f"```sh\n{lines}\n```\n" if commands else "") + "".join(f"\n{line}" for line in reasons).lstrip("\n")


def _history(model: Description) -> str:
    """What was taught and forgotten, and what was measured before that; empty if nothing was."""
    if not model.history:
        return ""
    lines = []
    for entry in model.history:
        when = f"{entry.time:%Y-%m-%d %H:%M} UTC, session {entry.session}"
        for one in entry.classes:
            of = f" from {plural(one.clips, 'clip')} of {plural(len(one.files), 'recording')}" if one.clips else ""
            lines.append(f"- {when}: {printable(repr(one.name))} {entry.action}{of}")
    entries = "\n".join(lines)
    none = "" if model.thresholds else ' "None of these" is not answered.'
    return f"""
{entries}

The numbers of train clips above are those of the export. The temperatures of the probabilities were fitted to the
classes that the model knew then.{none} `history` in `model.json` has the SHA-256 of every recording.
"""
