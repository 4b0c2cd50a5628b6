"""The 25 sources of the demo benchmark, one per class."""

from datasets.synthesis.harmonic import Instrument
from datasets.synthesis.noise import Texture
from datasets.synthesis.voice import Voice

Source = Instrument | Voice | Texture

_INSTRUMENTS: dict[str, Source] = {
    "flute": Instrument((392, 988), 15, attack=0.07, vibrato=(5.0, 12), breath=-18, body=((900, 4, 0.8),)),
    "clarinet": Instrument((165, 440), 8, even=0.08, attack=0.04, breath=-36, body=((1500, 7, 0.6),)),
    "oboe": Instrument((294, 740), 6, vibrato=(5.5, 15), breath=-34, body=((1100, 10, 0.4), (2900, 12, 0.35))),
    "trumpet": Instrument(
        (233, 587), 3, attack=0.05, damping=0.6, vibrato=(5.5, 8), breath=-40, body=((1500, 6, 0.8),)
    ),
    "horn": Instrument((110, 294), 13, attack=0.08, damping=0.6, vibrato=(5.0, 5), breath=-38, body=((450, 10, 0.6),)),
    "violin": Instrument(
        (220, 587),
        5,
        attack=0.09,
        vibrato=(6.0, 32),
        breath=-22,
        body=((300, 5, 0.3), (550, 6, 0.3), (2600, 10, 0.5)),
    ),
    "organ": Instrument((131, 392), 7, even=2.5, attack=0.015, breath=-45),
    "piano": Instrument((131, 523), 9, attack=0.004, decay=0.5, damping=0.12, stiffness=4e-4, pluck=0.125),
    "guitar": Instrument(
        (98, 330), 6, attack=0.003, decay=0.25, damping=0.2, stiffness=1e-4, pluck=0.22, body=((200, 8, 0.4),)
    ),
    "bell": Instrument(
        (330, 784),
        2,
        attack=0.002,
        decay=0.7,
        damping=0.2,
        ratios=(0.5, 1.0, 1.19, 1.5, 2.0, 2.51, 2.66, 3.01, 4.1, 5.4),
    ),
}
_VOICES: dict[str, Source] = {
    "voice_bass": Voice((78, 123), 0.93, 600, breath=-28),
    "voice_baritone": Voice((98, 156), 0.98, 900, looseness=0.8, breath=-34),
    "voice_tenor": Voice((131, 208), 1.02, 1200, breath=-32),
    "voice_countertenor": Voice((175, 277), 1.04, 500, looseness=1.4, breath=-20),
    "voice_alto": Voice((175, 277), 1.12, 700, breath=-26),
    "voice_mezzo": Voice((208, 330), 1.16, 1300, looseness=0.8, breath=-32),
    "voice_soprano": Voice((262, 440), 1.20, 900, breath=-26, vibrato=(6.0, 40)),
    "voice_child": Voice((247, 370), 1.34, 700, looseness=1.3, breath=-18, vibrato=(5.5, 0)),
}
_TEXTURES: dict[str, Source] = {
    "wind": Texture((150, 600), 3, swell=(2.0, 4.0), drift=0.8),
    "surf": Texture((100, 4000), 4, swell=(1.5, 6.0), drift=0.3),
    "rain": Texture((500, 7000), 1, swell=(2.0, 1.0), grains=150, ring=(1500, 6000), fade=0.002, grain_level=14),
    "stream": Texture(
        (250, 2500), 4, swell=(4.0, 2.0), grains=40, ring=(400, 1800), fade=0.012, bend=0.2, grain_level=6
    ),
    "fire": Texture((60, 1200), 5, swell=(5.0, 3.0), grains=18, ring=(1200, 6000), fade=0.003, grain_level=18),
    "engine": Texture((60, 1500), 6, swell=(2.0, 1.0), pulse=(18, 45, 0.9)),
    "crickets": Texture((3000, 5500), 2, swell=(2.0, 1.0), pulse=(14, 40, 0.95)),
}


def _interleaved(*families: dict[str, Source]) -> dict[str, Source]:
    """Interleaves the families evenly: the first N sources contain all families in proportion, for any N."""
    rows = [
        ((index + 0.5) / len(family), name, source)
        for family in families
        for index, (name, source) in enumerate(family.items())
    ]
    return {name: source for _, name, source in sorted(rows, key=lambda row: row[0])}


SOURCES: dict[str, Source] = _interleaved(_INSTRUMENTS, _VOICES, _TEXTURES)
"""Class name -> source, in the order in which a benchmark with fewer classes takes them."""
