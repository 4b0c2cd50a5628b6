"""The 25 sources of the demo benchmark: one row, one class."""

from datasets.synthesis.harmonic import Instrument
from datasets.synthesis.noise import Texture
from datasets.synthesis.voice import Voice

Source = Instrument | Voice | Texture

_INSTRUMENTS: dict[str, Source] = {
    "flute": Instrument((262, 1047), 14, attack=0.06, vibrato=(5.0, 12), breath=-20, body=((900, 4, 0.8),)),
    "clarinet": Instrument((165, 784), 9, even=0.12, attack=0.04, breath=-32, body=((1500, 5, 0.6),)),
    "oboe": Instrument((233, 932), 6, attack=0.03, vibrato=(5.5, 15), breath=-32, body=((1100, 9, 0.5), (2900, 7, 0.4))),
    "trumpet": Instrument((185, 880), 5, attack=0.04, damping=0.25, vibrato=(5.5, 8), breath=-36, body=((1300, 8, 0.8),)),
    "horn": Instrument((110, 587), 9, attack=0.06, damping=0.25, vibrato=(5.0, 5), breath=-34, body=((450, 8, 0.7),)),
    "violin": Instrument(
        (196, 1047), 6, attack=0.07, vibrato=(6.0, 28), breath=-26, body=((280, 4, 0.3), (520, 5, 0.3), (2600, 8, 0.5))
    ),
    "organ": Instrument((131, 784), 7, even=1.6, attack=0.02, breath=-30, body=((700, 2, 1.0),)),
    "piano": Instrument((110, 880), 9, attack=0.004, decay=0.6, damping=0.12, stiffness=4e-4, pluck=0.125),
    "guitar": Instrument(
        (98, 659), 7, attack=0.003, decay=0.4, damping=0.16, stiffness=1e-4, pluck=0.22, body=((200, 6, 0.4),)
    ),
    "bell": Instrument(
        (220, 880), 4, attack=0.002, decay=0.7, damping=0.25, ratios=(0.5, 1.0, 1.19, 1.5, 2.0, 2.51, 2.66, 3.01, 4.1, 5.4)
    ),
}
_VOICES: dict[str, Source] = {
    "voice_bass": Voice((73, 147), 0.93, 600, breath=-28),
    "voice_baritone": Voice((92, 185), 0.98, 900, looseness=0.8, breath=-34),
    "voice_tenor": Voice((123, 247), 1.02, 1200, breath=-32),
    "voice_countertenor": Voice((165, 330), 1.04, 500, looseness=1.4, breath=-20),
    "voice_alto": Voice((165, 330), 1.12, 700, breath=-26),
    "voice_mezzo": Voice((185, 370), 1.16, 1300, looseness=0.8, breath=-32),
    "voice_soprano": Voice((233, 466), 1.20, 900, breath=-26, vibrato=(6.0, 40)),
    "voice_child": Voice((247, 440), 1.34, 700, looseness=1.3, breath=-18, vibrato=(5.5, 0)),
}
_TEXTURES: dict[str, Source] = {
    "wind": Texture((150, 600), 3, swell=(2.0, 4.0), drift=0.8),
    "surf": Texture((100, 4000), 4, swell=(1.5, 6.0), drift=0.3),
    "rain": Texture((500, 7000), 1, swell=(2.0, 1.0), grains=150, ring=(1500, 6000), fade=0.002, grain_level=14),
    "stream": Texture((250, 2500), 4, swell=(4.0, 2.0), grains=40, ring=(400, 1800), fade=0.012, bend=0.2, grain_level=6),
    "fire": Texture((60, 1200), 5, swell=(5.0, 3.0), grains=18, ring=(1200, 6000), fade=0.003, grain_level=18),
    "engine": Texture((60, 1500), 6, swell=(2.0, 1.0), pulse=(18, 45, 0.9)),
    "crickets": Texture((3000, 5500), 2, swell=(2.0, 1.0), pulse=(14, 40, 0.95)),
}


def _interleaved(*families: dict[str, Source]) -> dict[str, Source]:
    """The families dealt out evenly, so that the first N sources of the table mix the families, whatever N is."""
    rows = [
        ((place + 0.5) / len(family), name, source)
        for family in families
        for place, (name, source) in enumerate(family.items())
    ]
    return {name: source for _, name, source in sorted(rows, key=lambda row: row[0])}


SOURCES: dict[str, Source] = _interleaved(_INSTRUMENTS, _VOICES, _TEXTURES)
"""Class name -> source, in the order in which a benchmark with fewer classes takes them."""
