"""The package as settings.ini describes it: nbdev's file is the single source of names, versions and requirements."""
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

config = ConfigParser(delimiters=["="])
config.read(Path(__file__).with_name("settings.ini"), encoding="utf-8")
project = config["DEFAULT"]

setup(
    name=project["lib_name"],
    version=project["version"],
    description=project["description"],
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    keywords=project["keywords"],
    license="Apache-2.0",
    packages=find_packages(include=[project["lib_name"], project["lib_name"] + ".*"]),
    package_data={project["lib_name"]: ["rows/*.json"]},
    python_requires=">=" + project["min_python"],
    install_requires=project["requirements"].split(),
    extras_require={"dev": project["dev_requirements"].split(), "sweep": project["sweep_requirements"].split()},
    entry_points={"console_scripts": project["console_scripts"].split()},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3",
    ],
)
