"""A protocol that fits a benchmark, as a first suggestion."""

from datasets.benchmark.manifest import Manifest

WAYS = (10, 5, 4, 3, 2)


def suggested_protocol(manifest: Manifest) -> str:
    """Options of a sweep: at least half of the classes (or those of the benchmark) as base, the others in equal parts.

    The way is the largest that leaves at least four incremental sessions, else two, else one. The shot is 5, or the
    number of train clips of the smallest class.

    Returns:
        Such as '--protocol free --base 25 --way 5 --shot 5'; "" for fewer than three classes.
    """
    classes = len(manifest.classes)
    if classes < 3:
        return ""
    least = manifest.base_classes or max(2, (classes + 1) // 2)
    novel = classes - least
    if novel < 1:
        return ""
    for sessions in (4, 2, 1):
        fitting = [way for way in WAYS if novel // way >= sessions]
        if fitting:
            break
    way = next((way for way in fitting if manifest.base_classes is None or novel % way == 0), 1)
    base = least if manifest.base_classes else classes - novel // way * way
    shot = min(5, min(entry.clips.train for entry in manifest.classes))
    return f"--protocol free --base {base} --way {way} --shot {shot}"
