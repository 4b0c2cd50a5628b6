"""Puts the four packages below `earshot/packages/` in site-packages; see earshot/__init__.py for the reason."""

from setuptools import find_packages, setup

BELOW = "earshot.packages"
INSIDE = ("datasets", "trainables", "orchestrator", "search_spaces", "recipes")

setup(
    packages=["earshot", *(f"{BELOW}.{name}" for name in find_packages(include=[f"{name}*" for name in INSIDE]))],
    package_dir={f"{BELOW}.{name}": name for name in INSIDE},
    package_data={
        "earshot": ["py.typed"],
        f"{BELOW}.search_spaces": ["*.yaml"],
        f"{BELOW}.recipes": ["*.yaml"],
        f"{BELOW}.datasets.corpora": ["presets/*.yaml"],
        f"{BELOW}.trainables": ["weights/*/*"],
        f"{BELOW}.orchestrator.publishing": ["*.json", "*.yaml"],
        f"{BELOW}.orchestrator.reporting.html": ["*.j2", "page.css", "scripts/*.js", "sections/*", "vendor/*"],
    },
)
