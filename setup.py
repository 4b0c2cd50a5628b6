"""Puts the four packages below `earshot/` in site-packages; see earshot/__init__.py for the reason."""

from setuptools import find_packages, setup

INSIDE = ("datasets", "trainables", "orchestrator", "search_spaces")

setup(
    packages=["earshot", *(f"earshot.{name}" for name in find_packages(include=[f"{name}*" for name in INSIDE]))],
    package_dir={f"earshot.{name}": name for name in INSIDE},
    package_data={
        "earshot.search_spaces": ["*.yaml"],
        "earshot.datasets.corpora": ["presets/*.yaml"],
        "earshot.trainables": ["weights/*/*"],
        "earshot.orchestrator.reporting.html": ["*.j2", "page.css", "scripts/*.js", "sections/*"],
    },
)
