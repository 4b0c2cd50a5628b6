"""The recordings that benchmarks use: the shared corpora, and how they are prepared."""

CLIP = {"sample_rate": 16_000, "clip_seconds": 2.0}
CORPORA = {
    # the levels as recorded, since the AST of the golden tensors was trained on them
    "ravdess-16k": ("librispeech", {**CLIP, "loudness": False, "train": 40, "val": 10, "test": 20}),
    "philharmonia": ("folder", CLIP),
}
